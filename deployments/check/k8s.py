"""The rendered overlays: schema, one shape, and that names, ports, secrets and sums meet.

    k8s.py RENDERED    a directory with <overlay>.yaml and <overlay>-before.yaml, made by k8s.sh
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

from known import ROOT, SERVICES, check_metrics, complain, finish, source
from variables import check_channels, check_environment, check_mail, variables

OVERLAYS = ["dev", "staging", "prod"]
TERRAFORM = {"staging": "staging", "prod": "production"}
# What a managed cluster offers today, and the newest.
KUBERNETES = ["1.32", "1.36"]
# The services' own default: crates/kit/src/config.rs.
DRAIN_SECONDS = 10

rendered = pathlib.Path(sys.argv[1])
text = source()


def documents(name):
    return [d for d in yaml.safe_load_all((rendered / f"{name}.yaml").read_text()) if d]


def of(found, kind):
    return {d["metadata"]["name"]: d for d in found if d["kind"] == kind}


def check_schema(overlay, found):
    for document in found:
        where = f"{overlay}: {document['kind']} {document['metadata']['name']}"
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                complain(where, f"{'.'.join(str(p) for p in error.path)}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError:
                pass  # a custom resource: custom.py checks it


def check_pod(where, template):
    pod = template["spec"]
    for key, value in [("automountServiceAccountToken", False), ("enableServiceLinks", False)]:
        if pod.get(key) is not value:
            complain(where, f"{key} is not {value}")
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        complain(where, "may run as root")
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        complain(where, "has no seccomp profile")
    volumes = {v["name"] for v in pod.get("volumes", [])}
    for container in pod["containers"] + pod.get("initContainers", []):
        inside = f"{where}: {container['name']}"
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities") != {"drop": ["ALL"]}:
            complain(inside, "has privileges")
        if context.get("readOnlyRootFilesystem") is not True:
            complain(inside, "its root file system can be written")
        resources = container.get("resources", {})
        if set(resources.get("requests", {})) != {"cpu", "memory"} or set(resources.get("limits", {})) != {"memory"}:
            complain(inside, "resources: requests of cpu and memory and a limit of memory, and no other")
        if not re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"]):
            complain(inside, f"the image {container['image']} has no version")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                complain(inside, f"mounts {mount['name']}, which is no volume")


def environment(container, configs):
    given = {}
    for reference in container.get("envFrom", []):
        name = reference["configMapRef"]["name"]
        if name not in configs:
            complain(name, "there is no such ConfigMap")
            continue
        given.update(configs[name]["data"])
    given.update({e["name"]: e.get("value") for e in container.get("env", [])})
    return given


def secret_files(pod):
    """path -> (secret, key) of what is mounted; a directory maps to (secret, None)."""
    volumes = {v["name"]: v["secret"]["secretName"] for v in pod.get("volumes", []) if "secret" in v}
    for container in pod["containers"] + pod.get("initContainers", []):
        for mount in container.get("volumeMounts", []):
            if mount["name"] in volumes:
                yield container, mount["mountPath"], volumes[mount["name"]]


def check_secrets(where, pod, keys):
    """Every file that a variable or an argument names is a key of a mounted secret."""
    mounted = list(secret_files(pod))
    for container in pod["containers"] + pod.get("initContainers", []):
        wanted = [e["value"] for e in container.get("env", []) if e["name"].endswith("_FILE")]
        wanted += [a for a in container.get("args", []) if a.startswith("/run/secrets/")]
        for path in wanted:
            directory, key = path.rsplit("/", 1)
            secrets = [s for c, at, s in mounted if c is container and at == directory]
            if not secrets:
                complain(where, f"{path} is not mounted")
            elif key not in keys.get(secrets[0], set()):
                complain(where, f"the secret {secrets[0]} has no key {key}")


def check_service(overlay, name, found, configs):
    where = f"{overlay}: {name}"
    deployment = of(found, "Deployment").get(name)
    if not deployment:
        return complain(where, "there is no Deployment")
    for kind in ["ServiceAccount", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"]:
        if name not in of(found, kind):
            complain(where, f"there is no {kind}")
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    if "replicas" in spec:
        complain(where, "sets replicas, which every apply would take from the autoscaler")
    if pod["serviceAccountName"] != name:
        complain(where, f"runs as {pod['serviceAccountName']}")
    for probe, path in [("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")]:
        get = container.get(probe, {}).get("httpGet", {})
        if (get.get("path"), get.get("port")) != (path, "admin"):
            complain(where, f"its {probe} does not ask {path} on the admin port, which no client can fill")
        if f'"{path}"' not in text:
            complain(where, f"nothing serves {path}")
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if pod["terminationGracePeriodSeconds"] <= pause + DRAIN_SECONDS:
        complain(where, "is killed before it has drained")
    given = environment(container, configs)
    check_environment(where, name, given, complain)
    if name == "incidents" and overlay in TERRAFORM:
        check_channels(where, given, complain)
    if name == "auth":
        check_mail(where, given, complain, people=overlay in TERRAFORM)
    if name == "auth" and not given.get("TRUSTED_PROXIES"):
        complain(where, "TRUSTED_PROXIES is not set: to it everybody at the incident console is one address")
    for variable, port in [("HTTP_LISTEN", "http"), ("GRPC_LISTEN", "grpc"), ("ADMIN_LISTEN", "admin")]:
        if given.get(variable) != f"0.0.0.0:{ports.get(port)}":
            complain(where, f"{variable} is {given.get(variable)}, and its port {port} is {ports.get(port)}")
    check_calls(where, name, given, found)
    check_connections(overlay, name, found, int(given["DATABASE_POOL_MAX"]))


def check_calls(where, name, given, found):
    """What it calls is headless, and the network policies let it through."""
    policies = of(found, "NetworkPolicy").values()
    for variable, value in sorted(given.items()):
        match = re.fullmatch(r"http://([a-z-]+):(50051|8080)", value or "")
        if not match or variable == "AUTH_GRPC_URL" and name == "auth":
            continue
        service = of(found, "Service").get(match[1])
        if not service or match[2] == "50051" and service["spec"].get("clusterIP") != "None":
            complain(where, f"{variable}: {match[1]} is not a headless service, so one pod would get every call")
            continue
        callee = service["spec"]["selector"]["app.kubernetes.io/name"]
        for direction, here, there in [("Egress", name, callee), ("Ingress", callee, name)]:
            peer, rules = {"Egress": ("to", "egress"), "Ingress": ("from", "ingress")}[direction]
            if not any(
                selects(p["spec"]["podSelector"], here)
                and any(port["port"] == int(match[2]) for port in rule["ports"])
                and any(selects(x["podSelector"], there) for x in rule[peer] if "podSelector" in x)
                for p in policies
                if direction in p["spec"]["policyTypes"]
                for rule in p["spec"].get(rules, [])
            ):
                complain(where, f"no network policy allows its calls to {callee} ({direction.lower()})")


# Who speaks with the world outside, and to which ports: LINE, Slack, gateways, mail.
OUTSIDE = {"auth": {465, 587}, "booking": {443}, "incidents": {443, 465, 587}}


def check_outside(overlay, found):
    """Only those who need the world reach it, and our own networks not by that."""
    allowed = {}
    for name, policy in of(found, "NetworkPolicy").items():
        for rule in policy["spec"].get("egress", []):
            blocks = [to["ipBlock"] for to in rule.get("to", []) if "ipBlock" in to]
            if rule.get("to") and not any(block["cidr"].endswith("/0") for block in blocks):
                continue
            if not all({"10.0.0.0/8", "169.254.0.0/16"} <= set(block.get("except", [])) for block in blocks) or not blocks:
                complain(f"{overlay}: NetworkPolicy {name}", "lets out to the world and to our own networks")
            for service in [*SERVICES, "migrate", "clients"]:
                if selects(policy["spec"]["podSelector"], service):
                    allowed.setdefault(service, set()).update(port["port"] for port in rule.get("ports", [{"port": "all"}]))
    for service in sorted(allowed.keys() | OUTSIDE.keys()):
        if allowed.get(service, set()) != OUTSIDE.get(service, set()):
            complain(f"{overlay}: {service}", f"may reach the world at {sorted(allowed.get(service, []), key=str)}, "
                     f"and needs {sorted(OUTSIDE.get(service, []))}")


def selects(selector, name):
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "platform"}
    matched = all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())
    return matched and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))


def check_connections(overlay, name, found, pool):
    """All pods that can be there at once stay below the role's CONNECTION LIMIT."""
    limit = 60  # deployments/postgres/roles.sql
    if overlay in TERRAFORM:
        main = (ROOT / f"deployments/terraform/environments/{TERRAFORM[overlay]}/main.tf").read_text()
        limit = int(re.search(r"app_connections\s*=\s*(\d+)", main)[1])
    scaler = of(found, "HorizontalPodAutoscaler")[name]["spec"]
    target = scaler["scaleTargetRef"]
    if target["name"] not in of(found, target["kind"]):
        complain(f"{overlay}: {name}", f"its autoscaler scales {target['kind']} {target['name']}, which does not exist")
    rollout = of(found, "Rollout").get(name, {}).get("spec", {}).get("strategy", {})
    pods = 2 * scaler["maxReplicas"] if "blueGreen" in rollout else scaler["maxReplicas"] + 1
    # One list of what is not in a pool: the Terraform module's.
    platform = (ROOT / "deployments/terraform/modules/platform/main.tf").read_text()
    beside = int(re.search(r"connections_beside_the_pool\s*=\s*(\d+)", platform)[1])
    spare = int(re.search(r"spare_connections\s*=\s*(\d+)", platform)[1])
    most = pods * (pool + beside) + spare
    if most > limit:
        complain(
            f"{overlay}: {name}",
            f"{pods} pods of {pool} connections and {beside} beside the pool, and {spare} to spare, "
            f"are {most}: more than the role's {limit}",
        )


def check_references(overlay, found):
    deployments, services = of(found, "Deployment"), of(found, "Service")
    for name, service in services.items():
        selector = service["spec"]["selector"].items()
        chosen = [d for d in deployments.values() if selector <= d["spec"]["template"]["metadata"]["labels"].items()]
        if len(chosen) != 1:
            complain(f"{overlay}: Service {name}", f"chooses {len(chosen)} Deployments")
            continue
        names = {p["name"] for c in chosen[0]["spec"]["template"]["spec"]["containers"] for p in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in names:
                complain(f"{overlay}: Service {name}", f"no container has the port {port['targetPort']}")
    for name, route in of(found, "HTTPRoute").items():
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                ports = services.get(backend["name"], {}).get("spec", {}).get("ports", [])
                if backend["port"] not in [p["port"] for p in ports]:
                    complain(f"{overlay}: HTTPRoute {name}", f"there is no {backend['name']}:{backend['port']}")
    for monitor in of(found, "PodMonitor").values():
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            for name in SERVICES:
                container = deployments[name]["spec"]["template"]["spec"]["containers"][0]
                if endpoint["port"] not in [p["name"] for p in container["ports"]]:
                    complain(f"{overlay}: PodMonitor", f"{name} has no port {endpoint['port']}")


def check_rollouts(overlay, found):
    templates = of(found, "AnalysisTemplate")
    for name, rollout in of(found, "Rollout").items():
        where = f"{overlay}: Rollout {name}"
        if rollout["spec"]["workloadRef"]["name"] not in of(found, "Deployment"):
            complain(where, "takes over a Deployment that does not exist")
        (strategy,) = rollout["spec"]["strategy"].values()
        analysis = strategy.get("analysis") or strategy.get("postPromotionAnalysis")
        if not analysis:
            complain(where, "is not watched")
            continue
        for key in ("activeService", "previewService"):
            if key in strategy and strategy[key] not in of(found, "Service"):
                complain(where, f"{key}: there is no Service {strategy[key]}")
        given = {a["name"] for a in analysis["args"]}
        for used in analysis["templates"]:
            template = templates.get(used["templateName"])
            if not template:
                complain(where, f"there is no AnalysisTemplate {used['templateName']}")
                continue
            wanted = {a["name"] for a in template["spec"]["args"] if "value" not in a}
            if wanted - given:
                complain(where, f"does not give {sorted(wanted - given)} to {used['templateName']}")
    for name, template in templates.items():
        declared = {a["name"] for a in template["spec"]["args"]}
        for metric in template["spec"]["metrics"]:
            where = f"{overlay}: AnalysisTemplate {name}: {metric['name']}"
            query = metric["provider"]["prometheus"]["query"]
            for used in re.findall(r"\{\{args\.(\w+)\}\}", str(metric)):
                if used not in declared:
                    complain(where, f"the argument {used} is not declared")
            foreign = {"kube_pod_status_ready"}  # kube-state-metrics
            check_metrics(where, re.sub(r"\{\{args\.\w+\}\}", "x", query), foreign, text)


def terraform_secrets():
    """secret -> keys, as modules/secrets/main.tf makes them."""
    main = (ROOT / "deployments/terraform/modules/secrets/main.tf").read_text()
    body = re.search(r"contents = \{\n(.*?)\n  \}", main, re.S)[1]
    found, name = {}, None
    for line in body.splitlines():
        if match := re.match(r"    (\w+) += \{", line):
            name = match[1]
            found[name] = set()
        elif match := re.match(r"      (\w+) +=", line):
            found[name].add(match[1])
    # what an operator fills
    found["channels"] = set(re.findall(r'"(\w+)"', re.search(r"channels = \[(.*?)\]", main, re.S)[1]))
    return found


def dev_secrets():
    """secret -> keys, as deploy.sh makes them: it runs here, with a kubectl that only remembers."""
    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / "deployments"
        for part in ("k8s", "postgres", "redis"):
            shutil.copytree(ROOT / "deployments" / part, copy / part)
        shutil.copy(ROOT / "deployments/secrets.sh", copy)
        stub = pathlib.Path(place) / "kubectl"
        stub.write_text(f'#!/bin/sh\n[ "$2" != -o ] || exit 0\necho "$*" >>{place}/calls\n')
        stub.chmod(0o755)
        done = subprocess.run(
            [copy / "k8s/deploy.sh", "dev"], env={"PATH": f"{place}:/usr/bin:/bin"}, capture_output=True, text=True
        )
        calls = (pathlib.Path(place) / "calls").read_text()
    if done.returncode:
        complain("deployments/k8s/deploy.sh", done.stderr)
    found = {}
    for name, files in re.findall(r"create secret generic (\w+) (.*?) --dry-run", calls):
        keys = re.findall(r"--from-file=(\S+)", files)
        if name in SERVICES and not any(re.fullmatch(rf"redis_url=\S*/redis_{name}_url", key) for key in keys):
            complain("deployments/k8s/deploy.sh", f"{name} does not come to Redis as its own user")
        if name == "roles" and any("redis" in key or "postgres_" in key for key in keys):
            complain("deployments/k8s/deploy.sh", "gives the Job roles more than its roles' passwords")
        found[name] = {k.split("=")[0] if "=" in k else k.rsplit("/", 1)[1] for k in keys}
    return found


def check_rules():
    """rules.sh loses no alert."""
    made = yaml.safe_load(subprocess.run([ROOT / "deployments/k8s/rules.sh"], capture_output=True, text=True).stdout)
    groups = {g["name"]: g for g in made["spec"]["groups"]}
    for file in sorted((ROOT / "deployments/prometheus/rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            if groups.get(group["name"]) != group:
                complain("deployments/k8s/rules.sh", f"loses the group {group['name']} of {file.name}")


def check_rollback(keys):
    """The component that may change what runs: who it is, and what it may."""
    found = documents("rollback")
    check_schema("rollback", found)
    template = of(found, "Deployment")["incidents"]["spec"]["template"]
    check_pod("rollback: incidents", template)
    check_secrets("rollback: incidents", template["spec"], keys)
    for name in (e["name"] for e in template["spec"]["containers"][0]["env"] if e["name"].startswith("ROLLBACK_")):
        if name not in variables("incidents"):
            complain("rollback: incidents", f"nothing reads {name}")
    for volume in template["spec"]["volumes"]:
        if "image" in volume and not re.search(r":v[\d.]+(@sha256:[0-9a-f]{64})?$", volume["image"]["reference"]):
            complain("rollback: incidents", f"the image {volume['image']['reference']} has no version")
    bindings = of(found, "RoleBinding")
    if not bindings or of(found, "ClusterRoleBinding"):
        complain("rollback", "binds no role, or one of the whole cluster")
    for name, binding in bindings.items():
        if binding["roleRef"]["name"] not in of(found, "Role"):
            complain(f"rollback: RoleBinding {name}", "there is no such role")
        if [s["name"] for s in binding["subjects"]] != [template["spec"]["serviceAccountName"]]:
            complain(f"rollback: RoleBinding {name}", "is not for incidents alone")
    for name, role in of(found, "Role").items():
        for rule in role["rules"]:
            where, verbs = f"rollback: Role {name}: {', '.join(rule['resources'])}", set(rule["verbs"])
            if not verbs <= {"get", "list", "watch", "patch"} or "secrets" in rule["resources"]:
                complain(where, f"may {sorted(verbs)}")
            named = rule.get("resourceNames", [])
            if verbs & {"get", "patch"} and (not named or not set(named) <= set(SERVICES) - {"incidents"}):
                complain(where, "changes more than the services that may be taken back")


def main():
    made = {"dev": dev_secrets(), "staging": terraform_secrets(), "prod": terraform_secrets()}
    for overlay in OVERLAYS:
        before, found = documents(f"{overlay}-before"), documents(overlay)
        check_schema(overlay, before + found)
        keys = made[overlay]
        for name, secret in of(before, "ExternalSecret").items():
            key = secret["spec"]["dataFrom"][0]["extract"]["key"]
            if key != f"platform/{TERRAFORM[overlay]}/{name}" or name not in keys:
                complain(f"{overlay}: ExternalSecret {name}", f"Terraform makes no {key}")
        for document in before + found:
            if document["kind"] in ("Deployment", "Job"):
                where = f"{overlay}: {document['kind']} {document['metadata']['name']}"
                check_pod(where, document["spec"]["template"])
                check_secrets(where, document["spec"]["template"]["spec"], keys)
        policies = of(found, "NetworkPolicy")
        if policies.get("default-deny", {}).get("spec") != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
            complain(overlay, "not everything is denied by default")
        for service in SERVICES:
            check_service(overlay, service, found, of(found, "ConfigMap"))
        check_outside(overlay, found)
        check_references(overlay, before + found)
        check_rollouts(overlay, found)
    check_rollback(made["prod"])
    check_rules()


main()
finish()
