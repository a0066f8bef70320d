"""Images that are not ours: each in one list, in one version, and once pinned by digest pinned everywhere."""

import re

from known import ROOT, complain, finish

LIST = "deployments/images.txt"
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# Made by us, and verified before they are deployed: .github/workflows/deploy.yml.
OURS = re.compile(r"^(platform/|ghcr\.io/example/platform/)")


def listed():
    """name -> the whole reference, with the digest if it has one."""
    found = {}
    for line in (ROOT / LIST).read_text().splitlines():
        reference, _, remark = line.partition(" # ")
        reference = reference.strip()
        if not reference or line.startswith("#"):
            continue
        name = DIGEST.sub("", reference)
        if name in found:
            complain(LIST, f"names {name} twice")
        if bool(DIGEST.search(reference)) == (remark == "not pinned yet"):
            complain(LIST, f"{name} has no digest, and does not say so" if remark != "not pinned yet"
                     else f"{name} has a digest, and says that it has none")
        found[name] = reference
    return found


def used():
    """(file, reference) of each image that something here names."""
    for value in re.findall(r"^[A-Z_]+_IMAGE=(\S+)", (ROOT / ".env").read_text(), re.M):
        yield ".env", value
    docker = (ROOT / "deployments/docker/Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", docker, re.M))
    for value in re.findall(r"^(?:FROM |# syntax=|COPY --from=)(\S+)", docker, re.M):
        if value not in stages:
            yield "deployments/docker/Dockerfile", value
    for file in sorted((ROOT / "deployments/k8s").rglob("*.yaml")):
        for value in re.findall(r'(?:^|[\s{])(?:image|reference): "?([^\s{},"]+)', file.read_text(), re.M):
            yield str(file.relative_to(ROOT)), value
    for file in sorted((ROOT / "deployments/terraform").rglob("*.tf")):
        for value in re.findall(r'\bimage\s*=\s*"([^"$]+)"', file.read_text()):
            yield str(file.relative_to(ROOT)), value
    for file in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for value in re.findall(r"\b(?:container|image): ([\w./-]+[:@]\S+)", file.read_text()):
            yield str(file.relative_to(ROOT)), value


names, places, versions = listed(), set(), {}
for file, reference in used():
    if OURS.match(reference):
        continue
    name = DIGEST.sub("", reference)
    places.add(name)
    if name not in names:
        complain(file, f"{LIST} does not name {name}")
    elif names[name] != reference:
        complain(file, f"{name} is used without the digest that {LIST} has" if name == reference
                 else f"{reference} is not what {LIST} has: {names[name]}")
    program, _, tag = name.rpartition(":")
    other = versions.setdefault(program.rsplit("/", 1)[-1], tag)
    if other != tag:
        complain(file, f"{name} runs elsewhere as {other}")
for name in sorted(set(names) - places):
    complain(LIST, f"nothing uses {name}")
finish()
