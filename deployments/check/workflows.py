"""Workflows: actions by commit, least permissions, and only commands and files that are here."""

import re

import yaml

from known import ROOT, complain, finish

makefile = (ROOT / "Makefile").read_text() if (ROOT / "Makefile").exists() else None
targets = set(re.findall(r"^([a-z][\w-]*(?: [\w-]+)*):", makefile or "", re.M))
targets = {t for line in targets for t in line.split()}
pins = {}

for file in sorted((ROOT / ".github/workflows").glob("*.yml")):
    where = str(file.relative_to(ROOT))
    text = file.read_text()
    workflow = yaml.safe_load(text)
    if "permissions" not in workflow or workflow["permissions"] not in ({}, {"contents": "read"}):
        complain(where, "gives every job more than reading")
    for used, comment in re.findall(r"uses: (\S+)(.*)", text):
        if used.startswith("./"):
            if not (ROOT / used).exists():
                complain(where, f"there is no {used}")
            continue
        action, _, commit = used.partition("@")
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            complain(where, f"{used} is not pinned by its commit")
        if not re.search(r"# v\d", comment):
            complain(where, f"{action}: which version is that commit?")
        if pins.setdefault(action, commit) != commit:
            complain(where, f"{action} is pinned elsewhere to another commit")
    for name, job in workflow["jobs"].items():
        inside = f"{where}: {name}"
        if "uses" in job:
            continue
        if "timeout-minutes" not in job:
            complain(inside, "has no timeout")
        for step in job["steps"]:
            script = step.get("run", "")
            # a value of the event in a script is a script of the event
            if re.search(r"\$\{\{", script):
                complain(inside, "puts an expression into a script; hand it over in `env`")
            whole = re.sub(r"\\\n\s*", " ", script)
            # `imagetools create --tag NAME:TAG SOURCE…` gives a tag to what the sources name
            for line in re.findall(r"cosign (?:sign|verify)[^\n]*|imagetools create[^\n]*", whole):
                for image in re.findall(r'"[^"]*(?:\$image|ghcr\.io/)[^"]*"', re.sub(r'--tag "[^"]*"', "", line)):
                    if "@$digest" not in image and "@$(cat" not in image:
                        complain(inside, f"{image} is verified or copied by its tag, which may be moved")
                if "certificate-identity-regexp" in line or line.startswith("cosign verify") and not re.search(
                    r'--certificate-identity "\$GITHUB_SERVER_URL/\$GITHUB_REPOSITORY/[\w./-]+@refs/tags/v\$VERSION"', line
                ):
                    complain(inside, "whoever signed is no whole identity: the workflow, and the tag of this version")
            for target in re.findall(r"^\s*make ([\w-]+)", script, re.M):
                if makefile and target not in targets:
                    complain(inside, f"there is no make {target}")
            for path in re.findall(r"(?:^|\s)((?:\.ci|\.github|scripts|deployments)/[\w./-]+)", script):
                if not (ROOT / path).exists() and "$" not in path and path.rsplit("/", 1)[1] not in ("environments",):
                    complain(inside, f"there is no {path}")
if not pins:
    complain(".github/workflows", "there are none")
finish()
