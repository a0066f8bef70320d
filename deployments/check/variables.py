"""What the services read from their environment, taken from their source."""

import re

from known import ROOT, SERVICES

ARGUMENT = re.compile(r'#\[arg\((?P<how>[^\]]*)\)\]\s*pub \w+: (?P<type>[\w:<>]+)', re.S)
# mimalloc's own, which no code of ours mentions
ALLOCATOR = {"MIMALLOC_ALLOW_THP", "MIMALLOC_PURGE_DELAY"}
VARIABLE = re.compile(r'env = "(\w+)"')


def arguments(text):
    """variable -> must it be set?"""
    found = {}
    for match in ARGUMENT.finditer(text):
        name = VARIABLE.search(match["how"])
        if name:
            found[name[1]] = "default_value" not in match["how"] and not match["type"].startswith(("Option", "Vec"))
    return found


def sections():
    """The structs of kit::config, and observability's."""
    text = (ROOT / "crates/kit/src/config.rs").read_text()
    found = {}
    for match in re.finditer(r"pub struct (\w+) \{(.*?)\n\}", text, re.S):
        found[match[1]] = arguments(match[2])
    found["Listen"].update(found["Limits"] | found["Edge"] | found["Tls"])
    found["Auth"].update(found["PeerTls"])
    found["observability"] = arguments((ROOT / "crates/observability/src/config.rs").read_text())
    return found


def variables(service):
    """All variables of one service: name -> must it be set?"""
    source = ROOT / f"crates/{service}/src"
    files = [source / "config.rs", *sorted(source.glob("config/*.rs"))]
    text = "".join(file.read_text() for file in files)
    found = arguments(text)
    for name, section in sections().items():
        if re.search(rf"pub \w+: {name}\b", text):
            found.update(section)
    return found


def check_channels(where, given, complain):
    """Whoever is deployed for others can tell people: each variable of incidents' channels has its place."""
    wanted = arguments((ROOT / "crates/incidents/src/config/notify.rs").read_text())
    plain = {name.removesuffix("_FILE") for name in given}
    for name in sorted(set(wanted) - plain):
        complain(where, f"{name} is not set, and incidents cannot tell people by it")


def check_mail(where, given, complain, people=False):
    """Auth's mail leaves: by a server where `people` use it, and otherwise at least into files."""
    plain = {name.removesuffix("_FILE") for name in given}
    if "SMTP_URL" not in plain and (people or "MAIL_SINK_DIR" not in plain):
        complain(where, "SMTP_URL is not set, and no code or notice of auth reaches anybody")
    if people and "MAIL_FROM" not in plain:
        complain(where, "MAIL_FROM is not set, and auth writes as example.org")


def check_environment(where, service, given, complain):
    """`given` is exactly what the service can read, and all it must have. `X_FILE` gives X."""
    known = variables(service)
    plain = {name.removesuffix("_FILE") for name in given}
    for name in sorted(plain - set(known)):
        # one ConfigMap serves all four
        if name not in ALLOCATOR and not any(name in variables(other) for other in SERVICES):
            complain(where, f"nothing reads {name}")
    for name, required in sorted(known.items()):
        if required and name not in plain:
            complain(where, f"{name} is not set, and {service} does not start without it")
