"""What the compose schema cannot see: that files exist, names meet, and every container is held short."""

import json
import re
import shutil
import subprocess
import tempfile

from known import ROOT, SERVICES, complain, finish, load, source
from variables import ALLOCATOR, check_channels, check_mail

MEBIBYTE = 1 << 20
LIMIT = 4096
LIMIT_MIN = 1536
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL|OWNER_URL")


IMAGES = dict(re.findall(r"^([A-Z_]+_IMAGE)=(.+)$", (ROOT / ".env").read_text(), re.M))


def interpolated(value):
    """`${NAME:-default}` as its default and `${NAME:?}` as in `.env`, everywhere."""
    if isinstance(value, str):
        value = re.sub(r"\$\{([A-Z_]+):\?\}", lambda m: IMAGES.get(m[1], m[0]), value)
        return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
    if isinstance(value, dict):
        return {key: interpolated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item) for item in value]
    return value


raw = load("docker-compose.yml")
compose = interpolated(raw)
services = compose["services"]


def conditions(service):
    wanted = services[service].get("depends_on", {})
    return {name: c["condition"] for name, c in wanted.items()}


def runs_once(service):
    return services[service].get("restart") == "no"


def size(text):
    number, unit = re.fullmatch(r"(\d+)([mg])", text).groups()
    return int(number) * MEBIBYTE * (1024 if unit == "g" else 1)


def check_container(name, service):
    where = f"docker-compose.yml: {name}"
    image = service.get("image", "")
    if ":" not in image or image.endswith(":latest"):
        complain(where, f"the image {image!r} has no version")
    if image.startswith("grafana/grafana:13.2"):
        complain(where, "Grafana 13.2 loses its data sources with a read-only root")
    if not re.fullmatch(r"\$\{[A-Z_]+_IMAGE:\?\}|platform/[a-z]+:\$\{PLATFORM_TAG:-dev\}", raw["services"][name].get("image", "")):
        complain(where, "the image is not named in .env")
    for key, value in [("read_only", True), ("cap_drop", ["ALL"]), ("security_opt", ["no-new-privileges:true"])]:
        if service.get(key) != value:
            complain(where, f"{key} is not {value}")
    if "max-size" not in service.get("logging", {}).get("options", {}):
        complain(where, "its log is not rotated")
    if "mem_limit" not in service:
        complain(where, "has no mem_limit")
    if not runs_once(name) and not service.get("healthcheck", {}).get("test"):
        complain(where, "has no health check")
    for port in raw["services"][name].get("ports", []):
        if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port):
            complain(where, f"the port {port} is not on loopback, or no variable moves it")
    for flag in service.get("command") or []:
        if flag.startswith(("--web.enable-lifecycle", "--web.enable-admin-api")):
            complain(where, f"{flag}: any web page may end it, or worse")
    for variable, value in (service.get("environment") or {}).items():
        if SECRET.search(variable) and not variable.endswith("_FILE"):
            complain(where, f"{variable} holds a secret; name a file with {variable}_FILE")
        path = str(value)
        if path.startswith("/run/secrets/") and path.split("/")[-1] not in service.get("secrets", []):
            complain(where, f"{variable} names {path}, which is not among its secrets")


def check_references(name, service):
    where = f"docker-compose.yml: {name}"
    for mount in service.get("volumes", []):
        host = mount.split(":")[0]
        if host.startswith("./"):
            if not (ROOT / host).exists():
                complain(where, f"mounts {host}, which does not exist")
        elif not host.startswith("/") and host not in compose["volumes"]:
            complain(where, f"the volume {host} is not declared")
    for kind in ("networks", "secrets"):
        for used in service.get(kind, []):
            if used not in compose[kind]:
                complain(where, f"{kind}: {used} is not declared")
    for other, condition in conditions(name).items():
        if other not in services:
            complain(where, f"depends on {other}, which does not exist")
        elif condition == "service_completed_successfully" and not runs_once(other):
            complain(where, f"waits for the end of {other}, which runs for ever")
        elif condition == "service_healthy" and not services[other].get("healthcheck", {}).get("test"):
            complain(where, f"waits for the health of {other}, which has no check")
        elif condition != "service_completed_successfully" and runs_once(other):
            complain(where, f"waits for {other} to run, which ends")
    build = service.get("build")
    if build:
        if not (ROOT / build["dockerfile"]).exists():
            complain(where, f"there is no {build['dockerfile']}")
        binary = build["args"]["BIN"]
        if not (ROOT / f"crates/{binary}/src/main.rs").exists():
            complain(where, f"BIN={binary} is not a binary of this workspace")


def check_cycles():
    def visit(name, path):
        if name in path:
            complain("docker-compose.yml", f"depends_on goes in a circle: {' → '.join([*path, name])}")
        elif name in services:
            for other in conditions(name):
                visit(other, [*path, name])

    for name in services:
        visit(name, [])


def check_sums():
    total = sum(size(s["mem_limit"]) for s in services.values() if "mem_limit" in s) // MEBIBYTE
    if total > LIMIT:
        complain("docker-compose.yml", f"the memory limits sum to {total} MiB, above {LIMIT}")
    published = {}
    for name, service in raw["services"].items():
        for port in service.get("ports", []):
            host = port.split(":-")[1].split("}")[0]
            if host in published:
                complain("docker-compose.yml", f"{name} and {published[host]} both publish {host}")
            published[host] = name


def check_min():
    """`make up-min`: what stays, and is there for good, has room in its limit."""
    where = "deployments/compose.min.yml"
    changed = load(where)["services"]
    for name in changed.keys() - services.keys():
        complain(where, f"there is no container {name}")
    left = [name for name in services if "profiles" not in changed.get(name, {}) and not runs_once(name)]
    total = sum(size((services[name] | changed.get(name, {}))["mem_limit"]) for name in left) // MEBIBYTE
    if total > LIMIT_MIN:
        complain(where, f"the memory limits sum to {total} MiB, above {LIMIT_MIN}")
    for name in left:
        for other in conditions(name):
            if other not in left and not runs_once(other):
                complain(where, f"{name} waits for {other}, which is left out")


def check_override():
    """The example changes containers that exist, and sets variables that they read."""
    where = "docker-compose.override.example.yml"
    text = source()
    for name, change in load(where)["services"].items():
        if name not in services:
            complain(where, f"there is no container {name}")
        for variable in change.get("environment", {}):
            if f'env = "{variable.removesuffix("_FILE")}"' not in text:
                complain(f"{where}: {name}", f"nothing reads {variable}")


def check_secrets():
    """The script makes exactly the files that the stack mounts, and a second run changes none."""
    with tempfile.TemporaryDirectory() as place:
        script = shutil.copy(ROOT / "deployments/secrets.sh", place)
        snapshots = []
        for _ in range(2):
            subprocess.run(["sh", script], check=True)
            found = {f.name: f.read_bytes() for f in sorted((ROOT / place / "secrets").iterdir())}
            snapshots.append(found)
        modes = {oct(f.stat().st_mode & 0o777) for f in (ROOT / place / "secrets").iterdir()}
        directory = oct((ROOT / place / "secrets").stat().st_mode & 0o777)
    if snapshots[0] != snapshots[1]:
        complain("deployments/secrets.sh", "changes secrets that exist")
    if (modes, directory) != ({"0o444"}, "0o700"):
        complain("deployments/secrets.sh", f"modes are {modes} in {directory}; containers need 0444 in 0700")
    made, mounted = set(snapshots[0]), set(compose["secrets"])
    if made != mounted:
        complain("deployments/secrets.sh", f"differs from docker-compose.yml in {sorted(made ^ mounted)}")
    for name, secret in compose["secrets"].items():
        if secret["file"] != f"./deployments/secrets/{name}":
            complain("docker-compose.yml", f"the secret {name} is not deployments/secrets/{name}")


def check_variables():
    """Every variable that a service of ours is given is one that it reads."""
    text = source()
    for name in [*SERVICES, *(n for n in services if n.startswith("client-"))]:
        for variable in services[name].get("environment", {}):
            plain = variable.removesuffix("_FILE")
            if f'env = "{plain}"' not in text and plain not in ALLOCATOR:
                complain(f"docker-compose.yml: {name}", f"nothing reads {variable}")
    check_channels("docker-compose.yml: incidents", services["incidents"]["environment"], complain)
    check_mail("docker-compose.yml: auth", services["auth"]["environment"], complain)
    for name in SERVICES:
        if services[name]["environment"].get("REDIS_URL_FILE") != f"/run/secrets/redis_{name}_url":
            complain(f"docker-compose.yml: {name}", "does not come to Redis as its own user")


def check_versions():
    docker = (ROOT / "deployments/docker/Dockerfile").read_text()
    image, debian = re.search(r"^FROM rust:([\d.]+)-slim-(\w+)", docker, re.M).groups()
    runtime = re.search(r"^FROM gcr\.io/distroless/cc-debian(\d+):", docker, re.M)[1]
    toolchain = re.search(r'^channel = "(.+)"$', (ROOT / "rust-toolchain.toml").read_text(), re.M).group(1)
    if image != toolchain:
        complain("deployments/docker/Dockerfile", f"the builder has Rust {image}, rust-toolchain.toml says {toolchain}")
    if {"bookworm": "12", "trixie": "13"}.get(debian) != runtime:
        complain("deployments/docker/Dockerfile", f"builds on Debian {debian} and runs on Debian {runtime}")


def check_hosts():
    """Configurations name only containers that exist."""
    for path in ["alertmanager/alertmanager.yml", "jaeger/config.yml", "grafana/provisioning/datasources/datasources.yml",
                 "alloy/config.alloy"]:
        text = (ROOT / "deployments" / path).read_text()
        for host in re.findall(r"http://([a-z0-9.-]+):\d+", text):
            if host not in services and host not in ("0.0.0.0", "127.0.0.1"):
                complain(f"deployments/{path}", f"there is no container {host}")


for name, service in services.items():
    check_container(name, service)
    check_references(name, service)
check_cycles()
check_sums()
check_min()
check_override()
check_secrets()
check_variables()
check_versions()
check_hosts()
json.loads((ROOT / "deployments/jaeger/ui.json").read_text())
finish()
