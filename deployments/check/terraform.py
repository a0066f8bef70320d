"""Terraform without a provider: argument names, nested blocks, references, what modules are given.

    terraform.py [WHEEL]    WHEEL: the provider's bindings from PyPI, which name every argument

One class there is one resource or nested block: aws_ecs_service is EcsServiceConfig, its block
`load_balancer` EcsServiceLoadBalancer, a block inside that EcsServiceLoadBalancerAdvancedConfiguration.
"""

import ast
import functools
import re
import sys
import zipfile

import hcl2

from known import ROOT, SERVICES, complain, finish
from variables import ALLOCATOR, check_channels, check_mail, variables

BASE = ROOT / "deployments/terraform"
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection"}
# Younger than the bindings, of which there are no newer ones: hashicorp/aws 6.47
NEWER = {"elasticache_user": {"passwords_wo", "passwords_wo_version"}}
# hashicorp/random: no bindings needed for these
RANDOM = {"random_password": {"length", "special", "for_each"}}

wheel = zipfile.ZipFile(sys.argv[1]) if len(sys.argv) > 1 else None
names = set(wheel.namelist()) if wheel else set()


def bare(text):
    return text.strip('"')


@functools.cache
def classes(kind):
    """class -> (arguments, those required) of one resource; None when the provider has no such."""
    path = f"cdktf_cdktf_provider_aws/{kind}/__init__.py"
    if path not in names:
        return None
    found = {}
    for item in ast.parse(wheel.read(path)).body:
        for function in getattr(item, "body", []):
            if isinstance(function, ast.FunctionDef) and function.name == "__init__" and function.args.kwonlyargs:
                arguments = function.args
                plain = [a.arg.rstrip("_") for a in arguments.kwonlyargs]
                required = {n for n, d in zip(plain, arguments.kw_defaults) if d is None}
                found[item.name] = (set(plain), required)
    return found


def blocks(value):
    """The bodies of a nested block; an attribute has none."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return value
    return []


def plain(body):
    return {bare(k): v for k, v in body.items() if not k.startswith("__")}


def check_body(where, kind, name, body):
    found = classes(kind)
    arguments, required = found[name]
    given = dict(plain(body))
    for dynamic in given.pop("dynamic", []):
        for block, content in plain(dynamic).items():
            given.setdefault(block, []).extend(plain(content)["content"])
    for argument in sorted(set(given) - arguments - META - NEWER.get(kind, set())):
        complain(where, f"no such argument: {argument}")
    for argument in sorted(required - set(given)):
        complain(where, f"{argument} is required")
    stem = name.removesuffix("Config")
    for block, value in given.items():
        nested = stem + "".join(part.title() for part in block.split("_"))
        for content in blocks(value):
            if nested in found:
                check_body(f"{where}: {block}", kind, nested, content)


def check_resource(where, kind, body):
    if kind in RANDOM:
        for argument in sorted(set(plain(body)) - RANDOM[kind]):
            complain(where, f"no such argument: {argument}")
    elif not kind.startswith("aws_"):
        complain(where, f"nothing here knows {kind}")
    elif wheel:
        found = classes(kind[4:])
        if not found:
            complain(where, f"the provider has no {kind}")
            return
        config = next(n for n in found if n.endswith("Config") and n.lower() == kind[4:].replace("_", "") + "config")
        check_body(where, kind[4:], config, body)


class Directory:
    """One module or environment: what it declares, and its whole text without comments."""

    def __init__(self, path):
        self.path, self.where = path, path.relative_to(ROOT)
        files = sorted(path.glob("*.tf"))
        self.parsed = [(f.relative_to(ROOT), hcl2.loads(f.read_text())) for f in files]
        self.text = "\n".join(re.sub(r"^\s*#.*$", "", f.read_text(), flags=re.M) for f in files)

    def each(self, kind):
        for file, document in self.parsed:
            for block in document.get(kind, []):
                for name, body in plain(block).items():
                    yield file, name, body

    def resources(self, kind="resource"):
        for file, kind_of, instances in self.each(kind):
            for name, body in plain(instances).items():
                yield file, kind_of, name, body

    def declared(self, kind):
        return {name: body for _, name, body in self.each(kind)}

    def locals(self):
        return {bare(k) for _, d in self.parsed for block in d.get("locals", []) for k in plain(block)}


def check_references(directory):
    text, where = directory.text, directory.where
    for kind, known in [("var", directory.declared("variable")), ("local", directory.locals()), ("module", directory.declared("module"))]:
        used = set(re.findall(rf"(?<![\w.]){kind}\.(\w+)", text))
        for name in sorted(used - set(known)):
            complain(where, f"{kind}.{name} is not declared")
        if kind != "module":
            for name in sorted(set(known) - used):
                complain(where, f"{kind}.{name} is not used")
    made = {f"{kind}.{name}" for _, kind, name, _ in directory.resources()}
    made |= {f"ephemeral.{kind}.{name}" for _, kind, name, _ in directory.resources("ephemeral")}
    for name in sorted(set(re.findall(r"(?<![\w.\"])((?:ephemeral\.)?(?:aws|random)_\w+\.\w+)", text)) - made):
        complain(where, f"{name} does not exist")


def check_modules(directory, modules):
    for file, name, body in directory.each("module"):
        where = f"{file}: module {name}"
        source = (directory.path / bare(body["source"])).resolve()
        if source not in modules:
            complain(where, f"there is no {bare(body['source'])}")
            continue
        wanted = modules[source].declared("variable")
        given = set(plain(body)) - META - {"source", "providers"}
        for argument in sorted(given - set(wanted)):
            complain(where, f"the module has no variable {argument}")
        for argument in sorted(set(wanted) - given):
            if "default" not in plain(wanted[argument]):
                complain(where, f"{argument} is required")
        outputs = modules[source].declared("output")
        for used in set(re.findall(rf"module\.{name}(?:\[[^\]]+\])?\.(\w+)", directory.text)) - set(outputs):
            complain(where, f"the module has no output {used}")


def check_probes():
    """The balancer asks the admin port, which no client can fill, and is let through to it."""
    target = (BASE / "modules/service/main.tf").read_text()
    port = re.search(r'health_check \{\n    port += (\d+)', target)
    admin = re.search(r'name = "admin", containerPort = (\d+)', target)[1]
    if not port or port[1] != admin:
        return complain("modules/service", "the balancer does not ask the admin port")
    rules = (BASE / "modules/cluster/main.tf").read_text().split("\nresource ")
    for rule, group, other in [("ingress", "services", "balancer"), ("egress", "balancer", "services")]:
        wanted = [
            f'"aws_vpc_security_group_{rule}_rule"',
            f" = aws_security_group.{group}.id",
            f"referenced_security_group_id = aws_security_group.{other}.id",
            f" = {admin}\n",
        ]
        if not any(all(part in text for part in wanted) for text in rules):
            complain("modules/cluster", f"the health checks are not let through ({rule} of {group})")


def check_redis():
    """Every service is a user of users.acl, and nobody comes in past them."""
    group = (BASE / "modules/cache/main.tf").read_text()
    if not re.search(r"user_group_ids += \[aws_elasticache_user_group\.this\.user_group_id\]", group):
        complain("modules/cache", "anybody may come to Redis: it has no user group")
    users = (ROOT / "deployments/redis/users.acl").read_text()
    for service in SERVICES:
        if not re.search(rf"^user {service} on .*~{service}:\*", users, re.M):
            complain("deployments/redis/users.acl", f"there is no user {service} with keys of its own")


def check_services():
    """Each service gets all it must have, and nothing that nobody reads."""
    text = (BASE / "modules/platform/main.tf").read_text()
    body = re.search(r"\n  service = \{\n(.*?)\n  \}\n\}", text, re.S)[1]
    shared = set(re.findall(r"^    ([A-Z_]+) +=", re.search(r"\n  environment = \{\n(.*?)\n  \}", text, re.S)[1], re.M))
    client = set(re.findall(r"^    ([A-Z_]+) +=", re.search(r"\n  client = \{\n(.*?)\n  \}", text, re.S)[1], re.M))
    for service in SERVICES:
        own = re.search(rf"^    {service} = \{{\n(.*?)^    \}}", body, re.S | re.M)
        if not own:
            complain("modules/platform", f"does not run {service}")
            continue
        given = shared | set(re.findall(r"\b([A-Z][A-Z0-9_]+) += ", own[1])) | (client if "local.client" in own[1] else set())
        known = variables(service)
        for name in sorted(given - set(known) - ALLOCATOR):
            complain("modules/platform", f"{service} does not read {name}")
        for name in sorted(n for n, required in known.items() if required and n not in given):
            complain("modules/platform", f"{service} does not start without {name}")
        if service == "incidents":
            check_channels("modules/platform", given, complain)
        if service == "auth":
            check_mail("modules/platform", given, complain, people=True)
    keys = (BASE / "modules/secrets/main.tf").read_text()
    for service in SERVICES:
        if not re.search(rf'^    {service} = \{{\n[^}}]*redis_url += local\.redis_url\["{service}"\]\n', keys, re.M):
            complain("modules/secrets", f"{service} does not come to Redis as its own user")
    keys = re.search(r"channels = \[(.*?)\]", keys, re.S)[1]
    for channels in re.findall(r"\n      channels = \{\n(.*?)\n      \}", body, re.S):
        for key in re.findall(r'^        [A-Z_]+ += "(\w+)"$', channels, re.M):
            if f'"{key}"' not in keys:
                complain("modules/platform", f"the secret channels has no key {key}")


directories = {p: Directory(p) for p in sorted([*BASE.glob("modules/*"), *BASE.glob("environments/*")]) if p.is_dir()}
for directory in directories.values():
    for kind in ("resource", "ephemeral"):
        for file, kind_of, name, body in directory.resources(kind):
            for content in body if isinstance(body, list) else [body]:
                check_resource(f"{file}: {kind_of}.{name}", kind_of, content)
    for name, body in directory.declared("variable").items():
        if "description" not in plain(body) or "type" not in plain(body):
            complain(directory.where, f"the variable {name} has no description or no type")
    check_references(directory)
    check_modules(directory, directories)
check_services()
check_probes()
check_redis()
if not directories:
    complain("deployments/terraform", "there is nothing")
finish()
