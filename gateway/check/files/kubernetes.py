"""Read manifests of Kubernetes: workloads, services, routes, budgets and autoscalers.

(Above 400 lines: the objects of one workload are read together.)

Sources: Kubernetes API reference; Gateway API, HTTPRoute; AWS Load Balancer Controller, annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.check.files.commands import FoundCommand, find_command
from gateway.check.files.nginx import is_stream
from gateway.check.files.units import number, quantity, seconds, size
from gateway.check.files.yaml_lines import Map, listed, mapped, merged
from gateway.hazards.facts import Fact, Files, Front, Place, Pod, Route, Stop

__all__ = ["Container", "mapped_container", "patched", "read_objects"]

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")


class Container:
    """A container with a server: how it is stopped, its command, and its variables."""

    def __init__(self, stop: Stop, command: FoundCommand | None, environment: Mapping[str, Fact[str]]) -> None:
        self.stop = stop
        self.command = command
        self.environment = environment


def _fact(mapping: Map, key: str, file: str, convert: type[float] | None = None) -> Fact[float] | None:
    value = mapping.get(key)
    found = number(str(value)) if value is not None else None
    return None if found is None else Fact(found, mapping.place(key, f"{key}: {value}"))


def _path(document: Map, *keys: str) -> Map:
    here = document
    for key in keys:
        here = mapped(here.get(key))
    return here


def patched(documents: Sequence[tuple[Map, str]]) -> list[tuple[Map, str]]:
    """Return the objects with the patches of kustomize in them.

    A patch is a workload whose containers have no image, beside a workload of the same kind and name that has one. The
    list ``replicas`` of a kustomization counts too.
    """
    whole: dict[tuple[str, str], int] = {}
    found: list[tuple[Map, str]] = []
    patches: list[tuple[tuple[str, str], Map]] = []
    counts: list[tuple[tuple[str, str], Map]] = []  # kustomize sets them after the patches
    for document, file in documents:
        kind, name = str(document.get("kind", "")), str(_path(document, "metadata").get("name", ""))
        if kind in _WORKLOADS and not _has_image(document):
            patches.append(((kind, name), document))
            continue
        if kind in _WORKLOADS:
            whole.setdefault((kind, name), len(found))
        elif kind == "Kustomization":
            for each in map(mapped, listed(document.get("replicas"))):
                spec, patch = Map(file), Map(file)
                spec["replicas"], spec.lines["replicas"] = each.get("count"), each.line("count")
                patch["spec"] = spec
                counts += [((workload, str(each.get("name", ""))), patch) for workload in _WORKLOADS]
        found.append((document, file))
    for key, patch in [*patches, *counts]:
        index = whole.get(key)
        if index is not None:
            found[index] = (merged(found[index][0], patch), found[index][1])
        elif "kind" in patch and len(whole) == 0:
            found.append((patch, patch.file))
    return found


def _has_image(document: Map) -> bool:
    containers = listed(_path(document, "spec", "template", "spec").get("containers"))
    return any("image" in mapped(each) for each in containers)


def read_objects(documents: Sequence[tuple[Map, str]], files: Files) -> list[Container]:
    """Add the objects of manifests to the facts, and return the containers that may be servers."""
    containers: list[Container] = []
    for document, file in documents:
        kind = str(document.get("kind", ""))
        if kind in _WORKLOADS:
            containers += _workload(document, file, files, kind)
        elif kind == "Service" and "serving.knative.dev" in str(document.get("apiVersion", "")):
            containers += _knative(document, file, files)
    for document, file in documents:
        _beside(document, file, files)
    return containers


def _beside(document: Map, file: str, files: Files) -> None:
    kind = str(document.get("kind", ""))
    if kind == "HorizontalPodAutoscaler":
        _autoscaler(document, file, files)
    elif kind == "PodDisruptionBudget":
        _budget(document, file, files)
    elif kind in ("HTTPRoute", "Ingress"):
        files.fronts.append(_routes(document, file, kind))
    if kind in ("Service", "Ingress", "BackendConfig", "GCPBackendPolicy", "TargetGroupConfiguration"):
        _balancer(document, file, files, kind)
    if kind in ("ServiceMonitor", "PodMonitor"):
        files.texts.setdefault("metrics", Fact("/metrics", document.place("kind", f"kind: {kind}")))
    if kind == "ConfigMap":
        return


def _workload(document: Map, file: str, files: Files, kind: str) -> Iterator[Container]:
    spec = mapped(document.get("spec"))
    template = _path(spec, "template", "spec")
    name = str(_path(document, "metadata").get("name", ""))
    unit = f"{file}#{name}"
    pod = Pod(place=document.place("kind", f"{kind} {name}"), unit=unit)
    replicas = _fact(spec, "replicas", file)
    if replicas is not None:
        pod.numbers["replicas"] = replicas
    elif kind in ("Deployment", "StatefulSet"):
        pod.numbers["replicas"] = Fact(1.0, Place(file, pod.place.line, f"{name}: replicas is not set: 1"), False)
    strategy = mapped(spec.get("strategy"))
    if strategy.get("type") == "Recreate":
        pod.texts["strategy"] = Fact("Recreate", strategy.place("type", "type: Recreate"))
    rolling = mapped(strategy.get("rollingUpdate"))
    gone = rolling.get("maxUnavailable")
    if gone is not None:
        count = number(str(gone).rstrip("%"))
        if count is not None:
            place = rolling.place("maxUnavailable", f"maxUnavailable: {gone}")
            pod.numbers["max_unavailable"] = Fact(count, place)
    annotations = _path(spec, "template", "metadata", "annotations")
    if str(annotations.get("prometheus.io/scrape", "")).lower() == "true":
        place = annotations.place("prometheus.io/scrape", "prometheus.io/scrape: true")
        files.texts.setdefault("metrics", Fact(str(annotations.get("prometheus.io/path", "/metrics")), place))
    found = [
        _container(each, template, spec, file, unit, pod)
        for each in listed(template.get("containers"))
        if isinstance(each, Map)
    ]
    servers = [each for each in found if each.command is not None]
    chosen = servers or found[:1]
    if not chosen:
        return
    _probes(mapped_container(template, chosen[0]), file, pod)
    files.pods.append(pod)
    files.texts.setdefault("container", Fact(kind, pod.place))
    _sysctls(template, file, files)
    yield from chosen


def mapped_container(template: Map, chosen: Container) -> Map:
    """Return the mapping of a container that was read."""
    for each in listed(template.get("containers")):
        if isinstance(each, Map) and each.first == chosen.stop.place.line:
            return each
    return Map()


def _sysctls(template: Map, file: str, files: Files) -> None:
    for each in listed(_path(template, "securityContext").get("sysctls")):
        entry = mapped(each)
        limit = number(str(entry.get("value", "")))
        if entry.get("name") == "net.core.somaxconn" and limit is not None:
            files.numbers["somaxconn"] = Fact(limit, entry.place("value", f"net.core.somaxconn: {limit:g}"))


def _environment(container: Map, file: str) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    for each in listed(container.get("env")):
        entry = mapped(each)
        if "value" in entry:
            name, value = str(entry.get("name")), str(entry["value"])
            found[name] = Fact(value, entry.place("name", f"{name}={value}"))
    return found


def _container(container: Map, template: Map, spec: Map, file: str, unit: str, pod: Pod) -> Container:
    place = Place(container.file, container.first, f"container {container.get('name', '')}")
    stop = Stop(kind="kubernetes", unit=unit, place=place)
    grace = _fact(template, "terminationGracePeriodSeconds", file)
    stop.seconds = grace or Fact(30.0, replace(place, text="terminationGracePeriodSeconds is not set: 30 s"), False)
    lifecycle = mapped(container.get("lifecycle"))
    hook = mapped(lifecycle.get("preStop"))
    sleep = mapped(hook.get("sleep"))
    asleep = _fact(sleep, "seconds", file)
    command = [str(each) for each in listed(mapped(hook.get("exec")).get("command"))]
    slept = re.search(r"\bsleep\s+(\d+(?:\.\d+)?)|\btime\.sleep\((\d+(?:\.\d+)?)", " ".join(command))
    if asleep is None and slept is not None:
        asleep = Fact(float(slept[1] or slept[2]), hook.place("exec", f"preStop: {' '.join(command)}"))
    stop.pre_stop = asleep
    signal = lifecycle.get("stopSignal")
    if signal is not None:
        stop.signal = Fact(str(signal), lifecycle.place("stopSignal", f"stopSignal: {signal}"))
    variables = _environment(container, file)
    _mounts(container, template, spec, stop, file, variables)
    words: list[str] = []
    at: Place | None = None
    for key in ("command", "args"):
        if key in container:
            words += [str(each) for each in listed(container.get(key))]
            at = at or container.place(key, "")
    found = None
    if at is not None:
        found = find_command(words, replace(at, text=" ".join(words)[:200]), variables)
    requests, limits = _path(container, "resources", "requests"), _path(container, "resources", "limits")
    for mapping, key, name in ((limits, "memory", "memory"), (requests, "cpu", "cpu"), (limits, "cpu", "cpu_limit")):
        value = quantity(str(mapping.get(key))) if key in mapping else None
        if value is not None and (found is not None or name not in pod.numbers):
            pod.numbers[name] = Fact(value, mapping.place(key, f"{key}: {mapping.get(key)}"))
    if "cpu" not in pod.numbers and "cpu_limit" in pod.numbers:
        pod.numbers["cpu"] = pod.numbers["cpu_limit"]  # the limit is the request, if there is none
    return Container(stop, found, variables)


def _mounts(
    container: Map, template: Map, spec: Map, stop: Stop, file: str, variables: Mapping[str, Fact[str]]
) -> None:
    volumes = {str(mapped(each).get("name")): mapped(each) for each in listed(template.get("volumes"))}
    claims = {str(_path(mapped(each), "metadata").get("name")) for each in listed(spec.get("volumeClaimTemplates"))}
    writable: list[str] = []
    shared: list[str] = []
    shared_at = container.place("volumeMounts", "")
    for each in listed(container.get("volumeMounts")):
        mount = mapped(each)
        path, name = str(mount.get("mountPath", "")), str(mount.get("name"))
        if mount.get("readOnly") is True:
            continue
        volume = volumes.get(name, Map())
        if "emptyDir" in volume:
            writable.append(path)
        elif "persistentVolumeClaim" in volume or "hostPath" in volume or "nfs" in volume or name in claims:
            writable.append(path)
            shared.append(path)
            shared_at = mount.place("mountPath", "")
    if writable:
        stop.texts["write_paths"] = Fact(" ".join(writable), container.place("volumeMounts", "volumeMounts"))
    if shared:
        stop.texts["shared_paths"] = Fact(" ".join(shared), replace(shared_at, text=f"mountPath: {', '.join(shared)}"))
    context = mapped(container.get("securityContext"))
    if context.get("readOnlyRootFilesystem") is True:
        place = context.place("readOnlyRootFilesystem", "readOnlyRootFilesystem: true")
        stop.texts["read_only"] = Fact("true", place)
    if "PROMETHEUS_MULTIPROC_DIR" in variables:
        stop.texts["metrics_folder"] = variables["PROMETHEUS_MULTIPROC_DIR"]


def _probes(container: Map, file: str, pod: Pod) -> None:
    for name, key in (("livenessProbe", "live"), ("readinessProbe", "ready"), ("startupProbe", "startup")):
        if name not in container:
            continue
        probe = mapped(container.get(name))
        every = number(str(probe.get("periodSeconds", 10))) or 10
        failures = number(str(probe.get("failureThreshold", 3))) or 3
        waits = number(str(probe.get("timeoutSeconds", 1))) or 1
        delay = number(str(probe.get("initialDelaySeconds", 0))) or 0
        total = every * failures + (waits if key == "ready" else delay if key == "startup" else 0)
        key_of = next((each for each in ("failureThreshold", "periodSeconds") if each in probe), "")
        text = f"{name}: periodSeconds {every:g}, failureThreshold {failures:g}, timeoutSeconds {waits:g}"
        pod.numbers[f"{key}_seconds"] = Fact(total, probe.place(key_of, text))
        asked = mapped(probe.get("httpGet"))
        if "path" in asked:
            pod.texts[f"{key}_path"] = Fact(str(asked["path"]), asked.place("path", f"{name}: {asked['path']}"))


def _knative(document: Map, file: str, files: Files) -> Iterator[Container]:
    """Read a service of Cloud Run, which stops a container ten seconds after the signal."""
    template = _path(document, "spec", "template", "spec")
    unit = f"{file}#{_path(document, 'metadata').get('name', '')}"
    pod = Pod(place=document.place("kind", "Cloud Run service"), unit=unit)
    for each in listed(template.get("containers")):
        if isinstance(each, Map):
            found = _container(each, template, Map(), file, unit, pod)
            found.stop.kind = "cloud-run"
            found.stop.seconds = Fact(
                10.0, Place(file, pod.place.line, "Cloud Run kills a container 10 s after SIGTERM")
            )
            files.texts["platform"] = Fact("cloud-run", Place(file, pod.place.line, "platform cloud-run"))
            yield found


def _autoscaler(document: Map, file: str, files: Files) -> None:
    spec = mapped(document.get("spec"))
    name = str(_path(spec, "scaleTargetRef").get("name", ""))
    least = _fact(spec, "minReplicas", file)
    least = least or Fact(1.0, document.place("kind", "minReplicas is not set: 1"), False)
    for pod in _of(files, name):
        pod.numbers["hpa_min"] = least
        for each in listed(spec.get("metrics")):
            resource = mapped(mapped(each).get("resource"))
            if resource.get("name") == "cpu" and mapped(resource.get("target")).get("type") == "Utilization":
                pod.texts["hpa_cpu"] = Fact("cpu", resource.place("name", "averageUtilization of cpu"))


def _of(files: Files, name: str) -> list[Pod]:
    named = [pod for pod in files.pods if pod.unit.endswith(f"#{name}")]
    return named or (files.pods if len(files.pods) == 1 else [])


def _budget(document: Map, file: str, files: Files) -> None:
    spec = mapped(document.get("spec"))
    for pod in files.pods if len(files.pods) == 1 else _of(files, str(_path(document, "metadata").get("name", ""))):
        count = pod.numbers.get("hpa_min") or pod.numbers.get("replicas")
        for key, name in (("maxUnavailable", "budget_unavailable"), ("minAvailable", "budget_available")):
            value = spec.get(key)
            found = number(str(value).rstrip("%")) if value is not None else None
            if found is None:
                continue
            if str(value).endswith("%"):
                found = found / 100 * (count.value if count is not None else 100)
            pod.numbers[name] = Fact(found, spec.place(key, f"{key}: {value}"))


def _balancer(document: Map, file: str, files: Files, kind: str) -> None:
    """Read what the annotations and policies of cloud load balancers say."""
    annotations = _path(document, "metadata", "annotations")
    spec = mapped(document.get("spec"))
    idle: Fact[float] | None = None
    for key, value in annotations.items():
        place = annotations.place(key, f"{key}: {value}")
        text = str(value)
        if key.endswith("aws-load-balancer-connection-idle-timeout"):
            found = number(text)
            idle = None if found is None else Fact(found, place)
        match = re.search(r"idle_timeout\.timeout_seconds=(\d+)", text)
        if match:
            idle = Fact(float(match[1]), place)
        match = re.search(r"deregistration_delay\.timeout_seconds=(\d+)", text)
        for pod in files.pods if match else ():
            pod.numbers["deregistration"] = Fact(float(match[1] if match else 0), place)
    name = str(spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "")
    if kind == "Ingress" and idle is None and name in ("alb", "gce", "gce-internal"):
        place = spec.place("ingressClassName", f"ingressClassName: {name}")
        idle = Fact(60.0 if name == "alb" else 600.0, place, False)
        for pod in files.pods if name == "alb" else ():
            pod.numbers.setdefault("balancer_response", Fact(60.0, place, False))
    for pod in files.pods:
        if idle is not None:
            pod.numbers["balancer_idle"] = idle
            if kind == "Ingress" and idle.written:
                pod.numbers["balancer_response"] = idle
        for each in (spec, mapped(spec.get("default"))):
            drained = _fact(mapped(each.get("connectionDraining")), "drainingTimeoutSec", file)
            if drained is not None:
                pod.numbers["deregistration"] = drained
        waits = _fact(spec, "timeoutSec", file) or _fact(mapped(spec.get("default")), "timeoutSec", file)
        if kind in ("BackendConfig", "GCPBackendPolicy") and waits is not None:
            pod.numbers["balancer_response"] = waits
            pod.numbers.setdefault("balancer_idle", Fact(600.0, waits.place, False))


def _routes(document: Map, file: str, kind: str) -> Front:
    front = Front(kind="route", place=document.place("kind", kind))
    spec = mapped(document.get("spec"))
    hosts = [Fact(str(name), spec.place("hostnames", f"hostnames: {name}")) for name in listed(spec.get("hostnames"))]
    for each in listed(spec.get("rules")):
        rule = mapped(each)
        if kind == "Ingress":
            host = rule.get("host")
            place = rule.place("host", f"host: {host}")
            route = Route(front=front, path="/", place=place, tls="tls" in spec)
            route.hosts = (Fact(str(host), place),) if host else ()
            if not host:
                front.texts["unknown_hosts"] = Fact("every host", Place(file, rule.first, "a rule without host"))
            _annotated(document, file, route)
            front.routes.append(route)
            continue
        if not listed(rule.get("backendRefs")):
            continue
        paths = [str(_path(mapped(match), "path").get("value", "/")) for match in listed(rule.get("matches"))] or ["/"]
        streams = [is_stream(path) for path in paths]
        route = Route(front=front, path=" ".join(paths), place=Place(file, rule.first, "rule " + " ".join(paths)))
        route.stream = all(found[0] for found in streams)
        route.websocket = all(found[1] for found in streams)
        route.hosts = tuple(hosts)
        limits = mapped(rule.get("timeouts"))
        _limits(route, limits, file)
        _filters(route, rule, file)
        front.routes.append(route)
    return front


def _limits(route: Route, limits: Map, file: str) -> None:
    found: dict[str, Fact[float]] = {}
    for key in ("request", "backendRequest"):
        value = seconds(str(limits.get(key))) if key in limits else None
        if value is not None:
            found[key] = Fact(value, limits.place(key, f"{key}: {limits.get(key)}"))
    whole, each = found.get("request"), found.get("backendRequest")
    chosen = whole if whole is not None and whole.value > 0 else each
    if chosen is not None and chosen.value > 0:
        route.numbers["read"] = chosen
        if each is not None and 0 < each.value < chosen.value:
            route.numbers["read"] = each
    if whole is not None and each is not None and 0 < whole.value < each.value:
        from gateway.hazards.table import finding

        route.front.faults.append(
            (
                "R8",
                finding(
                    f"request is {whole.value:g} s, and backendRequest {each.value:g} s",
                    "request: as long as backendRequest, or longer",
                    each,
                    whole,
                ),
            )
        )


def _filters(route: Route, rule: Map, file: str) -> None:
    retry = mapped(rule.get("retry"))
    if retry and listed(retry.get("codes")):
        route.texts["retries"] = Fact("retry", rule.place("retry", "retry"))
        route.texts["retried_posts"] = Fact("retry", retry.place("codes", f"retry: codes {retry.get('codes')}"))
    for each in listed(rule.get("filters")):
        change = mapped(mapped(each).get("requestHeaderModifier"))
        for name in listed(change.get("remove")):
            place = change.place("remove", f"remove: {name}")
            route.headers[str(name).lower()] = Fact("", place)
    family = ("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded")
    handled = [name for name in family if name.lower() in route.headers]
    left = [name for name in family if name.lower() not in route.headers]
    if handled and left:
        from gateway.hazards.table import finding

        route.front.faults.append(
            (
                "R26",
                finding(
                    f"the route passes a client's own {', '.join(left)} on at {route.path}",
                    f"requestHeaderModifier: remove: [{left[0]}]",
                    Place(file, route.place.line, f"{', '.join(left)} is not removed"),
                    route.headers[handled[0].lower()],
                ),
            )
        )


def _annotated(document: Map, file: str, route: Route) -> None:
    annotations = _path(document, "metadata", "annotations")
    for key, value in annotations.items():
        place = annotations.place(key, f"{key}: {value}")
        short = key.rpartition("/")[2]
        if short == "proxy-body-size":
            found = size(str(value))
            if found is not None:
                route.numbers["body"] = Fact(found, place)
        elif short in ("proxy-read-timeout", "proxy-connect-timeout"):
            limit = seconds(str(value))
            if limit is not None:
                route.numbers["read" if "read" in short else "connect"] = Fact(limit, place)
        elif short == "proxy-next-upstream" and "non_idempotent" in str(value):
            route.texts["retried_posts"] = Fact(str(value), place)
        elif short == "proxy-request-buffering" and str(value) == "off":
            route.texts["request_buffering"] = Fact("off", place)
