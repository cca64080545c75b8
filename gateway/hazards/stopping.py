"""Rules about stopping and restarting: drain, signals, rollouts, folders (R3 to R6, R12, R28, R31, R32, R34 to R40).

(Above 400 lines, because each rule is beside its check, and the rules of one restart are read together.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from gateway.hazards.facts import Fact, Files, Finding, Place, Server, Stop, same_address
from gateway.hazards.table import HazardTable, finding
from gateway.hazards.timeouts import drain, longest

__all__ = ["RULES"]

RULES = HazardTable()

#: Seconds for a balancer or kube-proxy to act on a failed check.
_PROPAGATION = 2
_FEW_REQUESTS = 1000
#: Servers that SIGTERM ends at once, or does not reach at all as process 1.
_WANT_SIGINT = ("waitress", "cheroot", "bjoern")
#: Signals that end Gunicorn without waiting for its requests.
_QUICK = {
    "gunicorn": ("SIGINT", "SIGQUIT"),
    "uvicorn": ("SIGQUIT",),
    "granian": ("SIGQUIT",),
    "hypercorn": ("SIGQUIT",),
}
_KILLS = ("SIGKILL", "SIGABRT", "SIGHUP")
#: Shortest time without an answer after which a liveness check may restart a pod.
_SHORTEST_STALL = 30
_SHORTEST_BOOT = 15
#: Shortest time for connections to end, if files do not show how long a request may take.
_SHORTEST_END = 10
#: The setting that ends the connections of a proxy's old workers.
_ENDS = {"nginx": "worker_shutdown_timeout", "haproxy": "hard-stop-after"}
#: Users of proxies, as distributions make them.
_PROXY_USERS = ("www-data", "nginx", "http", "caddy", "haproxy", "wwwrun")


def _servers(files: Files, stop: Stop) -> list[Server]:
    """Return the servers that a process manager stops."""
    own = [server for server in files.servers if server.unit == stop.unit]
    return own or ([] if any(server.unit for server in files.servers) else files.servers)


@RULES.rule(
    "R3",
    "The drain lasts until the health checks have taken the server out: interval × failures + timeout + 2 s.",
    "Kubernetes, Pod termination; HAProxy, check inter, fall; measured",
    computes=("drain", "check_interval", "check_failures", "check_timeout"),
)
def drain_outlasts_checks(files: Files) -> Iterator[Finding]:
    own = None if files.chain is None else files.chain.numbers.get("drain_seconds")
    for pod in files.pods:
        needed, stop = pod.numbers.get("ready_seconds"), next((s for s in files.stops if s.unit == pod.unit), None)
        sleep = None if stop is None else stop.pre_stop
        total = (sleep.value if sleep else 0) + (own.value if own else 0)
        least = 5.0 if needed is None else needed.value + _PROPAGATION
        if stop is None or total >= least or (total == 0 and files.chain is not None and not files.chain.complete):
            continue
        yield finding(
            f"the drain takes {total:g} s, and the readiness check notices after {least:g} s",
            f"set preStop: sleep to {least:g} s, or check more often",
            *((sleep, own) if sleep or own else (stop.place,)),
            needed or pod.place,
        )
    for front in files.fronts:
        needed = front.numbers.get("check_seconds")
        if needed is None or own is None or files.pods:
            continue
        least = needed.value + _PROPAGATION
        if own.value < least:
            yield finding(
                f"the drain takes {own.value:g} s, and the checks of {front.kind} notice after {least:g} s",
                f"set drain_seconds to {least:g}, or check more often",
                own,
                needed,
            )


@RULES.rule(
    "R4",
    "A server drains in one way: a sleep before the signal, or `Health(drain_seconds=...)`, because both add up.",
    "Kubernetes, Container hooks",
    computes=("drain",),
)
def drains_in_one_way(files: Files) -> Iterator[Finding]:
    own = None if files.chain is None else files.chain.numbers.get("drain_seconds")
    for stop in files.stops:
        if own is not None and own.value and stop.pre_stop is not None and stop.pre_stop.value:
            yield finding(
                f"preStop sleeps {stop.pre_stop.value:g} s, and Health drains {own.value:g} s after it",
                "remove one of them",
                stop.pre_stop,
                own,
            )


@RULES.rule(
    "R5",
    "The graceful timeout is as long as the drain and the longest request together.",
    "gunicorn settings, graceful_timeout; gunicorn.arbiter; measured",
    computes=("graceful_timeout",),
    unseen="the longest request, if it is not in [tool.gateway.deploy]; Gunicorn's timeout bounds it",
)
def graceful_timeout(files: Files) -> Iterator[Finding]:
    for server in files.servers:
        graceful, request = server.number("graceful_timeout"), longest(files, server)
        own = None if files.chain is None else files.chain.numbers.get("drain_seconds")
        if graceful is None or (request is None and own is None):
            continue
        needed = drain(files) + (request.value if request is not None else 0)
        if not graceful.written and not (request is not None and request.written) and own is None:
            continue
        if graceful.value < needed:
            yield finding(
                f"{server.name} ends running requests after {graceful.value:g} s, and drain and longest request need "
                f"{needed:g} s",
                f"set the graceful timeout to {needed:g} s or more",
                graceful,
                request,
                own,
            )


@RULES.rule(
    "R6",
    "The process manager waits longer than everything before: the sleep, the drain and the graceful timeout.",
    "Kubernetes, Pod termination; systemd.kill; Compose, stop_grace_period; Heroku, dyno shutdown",
    computes=("stop_seconds", "grace_period"),
)
def manager_waits(files: Files) -> Iterator[Finding]:
    for stop in files.stops:
        for server in _servers(files, stop) if stop.seconds is not None else ():
            graceful = server.number("graceful_timeout")
            before = stop.pre_stop.value if stop.pre_stop is not None else 0
            own = drain(files)
            needed = before + max(own, graceful.value if graceful is not None else own)
            if stop.seconds is None or needed == 0 or stop.seconds.value > needed:
                continue
            yield finding(
                f"{stop.kind} kills after {stop.seconds.value:g} s, and stopping takes {needed:g} s",
                f"wait longer than {needed:g} s"
                if stop.kind not in ("heroku", "cloud-run")
                else f"set the graceful timeout below {stop.seconds.value:g} s",
                stop.seconds,
                graceful,
                stop.pre_stop,
            )


@RULES.rule(
    "R12",
    "A proxy that reloads ends its old connections, after the longest request.",
    "nginx, worker_shutdown_timeout; HAProxy, hard-stop-after",
    computes=("shutdown",),
)
def reload_ends(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        limit = front.numbers.get("shutdown")
        streams = [route for route in front.routes if route.stream]
        setting = _ENDS.get(front.kind)
        if limit is None and front.complete and setting is not None and streams:
            yield finding(
                f"old workers of {front.kind} stay as long as a client keeps its stream",
                f"set {setting} 60s",
                type(front.place)(front.place.file, 0, f"{setting} is not set"),
                streams[0].place,
            )
        if limit is not None and limit.value < _SHORTEST_END and not any(longest(files, s) for s in files.servers):
            yield finding(
                f"{front.kind} ends connections {limit.value:g} s after a reload", "set 60 s", limit, front.place
            )
        for server in files.servers if limit is not None else ():
            request = longest(files, server)
            if limit is not None and request is not None and limit.value < request.value:
                yield finding(
                    f"{front.kind} ends connections {limit.value:g} s after a reload, and a request may take "
                    f"{request.value:g} s",
                    f"set {request.value:g} s or more",
                    limit,
                    request,
                )


@RULES.rule(
    "R28",
    "The proxy can open the unix socket, and the socket stays over a restart of the server.",
    "systemd.socket, SocketMode, RemoveOnStop; gunicorn settings, umask; measured: 371 of 1,360 requests lost",
    computes=("socket", "runtime"),
)
def socket_is_kept(files: Files) -> Iterator[Finding]:
    units = [stop for stop in files.stops if stop.kind == "systemd"]
    for front in files.fronts:
        user = front.texts.get("user")
        for route in front.routes:
            for target in route.targets if not route.targets or route.targets[0].startswith("unix:") else ():
                held = [s for s in files.sockets if same_address(target, s.address.value)]
                yield from _socket_rights(files, user, target, route.place)
                bound = [
                    s for s in files.servers for b in s.binds if b.startswith("unix:") and not same_address(target, b)
                ]
                same = [s for s in files.servers if any(same_address(target, b) for b in s.binds)]
                if files.sockets and not held and not same:
                    yield finding(
                        f"{front.kind} connects to {target}, and the socket unit listens on another address",
                        f"write the same path in both: {files.sockets[0].address.value}",
                        route.place,
                        files.sockets[0].address,
                    )
                elif bound and not held and not same:
                    yield finding(
                        f"{front.kind} connects to {target}, and the server listens on {bound[0].binds[0]}",
                        "write the same path in both",
                        route.place,
                        bound[0].text("bind"),
                    )
                # One of several instances may be gone for a moment: the proxy asks another one.
                elif (
                    len(route.targets) == 1
                    and same
                    and units
                    and not held
                    and any(s.unit == u.unit for s in same for u in units)
                ):
                    yield finding(
                        "the server makes its socket itself, so requests fail while it restarts",
                        "let a systemd socket unit hold the socket",
                        same[0].text("bind") or same[0].place,
                        route.place,
                    )
    for socket in files.sockets:
        if socket.removed is not None:
            yield finding("systemd removes the socket", "remove RemoveOnStop=yes", socket.removed, socket.place)


def _socket_rights(files: Files, user: Fact[str] | None, target: str, place: object) -> Iterator[Finding]:
    for socket in files.sockets:
        if not same_address(target, socket.address.value):
            continue
        mode = int(socket.mode.value) if socket.mode is not None else 0o666
        owner = socket.user.value if socket.user is not None else "root"
        group = socket.group.value if socket.group is not None else "root"
        theirs = user.value if user is not None else "www-data"
        if user is None and owner in _PROXY_USERS:  # the proxy's user cannot be seen
            theirs = owner
        elif user is None and socket.group is not None:
            theirs = group
        allowed = mode & 0o002 or (owner == theirs and mode & 0o200) or (group == theirs and mode & 0o020)
        if not allowed:
            yield finding(
                f"the socket belongs to {owner}:{group} with mode {mode:04o}, and the proxy runs as {theirs}",
                f"SocketGroup={theirs} and SocketMode=0660",
                socket.mode or socket.group or socket.user or socket.address,
                user or socket.address,
            )
    for server in files.servers:
        umask, perms = server.number("umask"), server.text("socket_perms")
        listens = [b for b in server.binds if same_address(target, b)]
        if not listens or any(same_address(target, s.address.value) for s in files.sockets):
            continue
        if umask is not None and umask.written and int(umask.value) & 0o020 and int(umask.value) & 0o002:
            yield finding(
                f"the umask {int(umask.value):03o} closes the socket for the proxy's user",
                "umask = 0o007, and put the proxy's user into the server's group",
                umask,
                server.text("bind"),
            )
        if perms is not None and set(perms.value) <= set("01234567") and not int(perms.value, 8) & 0o022:
            yield finding(
                f"{server.name} makes its socket with mode {perms.value}, and the proxy runs as another user",
                "--unix-socket-perms=660" if server.name == "waitress" else "give the group write permission",
                perms,
                server.text("bind"),
            )


@RULES.rule(
    "R31",
    "Workers are not replaced after few requests, never all at once, and never with the asgi worker.",
    "gunicorn settings, max_requests; measured: the asgi worker lost 5 of 488 requests",
)
def workers_last(files: Files) -> Iterator[Finding]:
    for server in files.servers:
        most, jitter = server.number("max_requests"), server.number("max_requests_jitter")
        if most is None or most.value <= 0:
            continue
        if server.name == "gunicorn" and server.worker == "asgi":
            yield finding(
                f"the asgi worker loses requests when it is replaced after {most.value:g} requests",
                "max_requests = 0",
                most,
                server.place,
            )
        elif most.value < _FEW_REQUESTS:
            yield finding(
                f"a worker is replaced after {most.value:g} requests", "max_requests = 10000, or 0", most, server.place
            )
        elif server.name == "gunicorn" and server.complete and (jitter is None or jitter.value == 0):
            yield finding(
                f"all workers are replaced at once, after {most.value:g} requests",
                f"max_requests_jitter = {int(most.value) // 10}",
                most,
                jitter or server.place,
            )


@RULES.rule(
    "R32",
    "Gunicorn does not import the application before it forks: connections would be shared, and HUP would not load "
    "new code.",
    "gunicorn settings, preload_app",
    unseen="whether the import makes connections",
)
def no_preload(files: Files) -> Iterator[Finding]:
    for server in files.servers:
        preload = server.text("preload")
        reload = next((stop.reload for stop in files.stops if stop.reload and stop.unit == server.unit), None)
        if preload is not None:
            yield finding(
                "preload_app is on" + (", and reloading sends HUP, which keeps the old code" if reload else ""),
                "preload_app = False",
                preload,
                reload or server.place,
            )


@RULES.rule(
    "R34",
    "Liveness is weaker than readiness: another path, and more time than the longest stall.",
    "Kubernetes, Liveness, Readiness and Startup Probes; measured: busy threads do not answer /livez",
    computes=("live_interval", "live_failures", "live_path", "ready_path"),
    unseen="the real time of the start",
)
def liveness_is_weaker(files: Files) -> Iterator[Finding]:
    for pod in files.pods:
        live, ready = pod.numbers.get("live_seconds"), pod.numbers.get("ready_seconds")
        live_path, ready_path = pod.texts.get("live_path"), pod.texts.get("ready_path")
        chain_ready = files.chain.texts.get("ready_path") if files.chain is not None else None
        if live_path is not None:
            other = next((p for p in (ready_path, chain_ready) if p is not None and p.value == live_path.value), None)
            dependent = live_path.value.rstrip("/").endswith(("readyz", "ready", "readiness"))
            if other is not None or dependent:
                yield finding(
                    f"liveness asks {live_path.value}, which readiness asks too: a drain or a lost database restarts "
                    "the pod",
                    "livenessProbe: path /livez",
                    live_path,
                    other or pod.place,
                )
        if live is not None and (live.value < _SHORTEST_STALL or (ready is not None and live.value < ready.value)):
            yield finding(
                f"a pod that does not answer for {live.value:g} s is restarted",
                "livenessProbe: periodSeconds 10, failureThreshold 6",
                live,
                ready or pod.place,
            )
        startup = pod.numbers.get("startup_seconds")
        if startup is not None and startup.value < _SHORTEST_BOOT:
            yield finding(
                f"a pod that does not start within {startup.value:g} s is restarted",
                "startupProbe: periodSeconds 2, failureThreshold 30",
                startup,
                pod.place,
            )


@RULES.rule(
    "R35",
    "A rollout keeps every replica, and there are at least two.",
    "Kubernetes, Deployments, Rolling Update; PodDisruptionBudget; HorizontalPodAutoscaler",
    computes=("replicas", "hpa_replicas"),
)
def rollout_keeps_replicas(files: Files) -> Iterator[Finding]:
    for pod in files.pods:
        replicas, least = pod.numbers.get("replicas"), pod.numbers.get("hpa_min")
        gone, strategy = pod.numbers.get("max_unavailable"), pod.texts.get("strategy")
        if strategy is not None:
            yield finding(f"{strategy.value} stops every pod first", "type: RollingUpdate", strategy, pod.place)
        if gone is not None and gone.value > 0:
            yield finding("a rollout takes pods away before others are ready", "maxUnavailable: 0", gone, pod.place)
        if least is not None and least.value < 2:
            yield finding(f"the autoscaler goes down to {least.value:g} pod", "minReplicas: 2", least, pod.place)
        elif replicas is not None and replicas.value < 2 and least is None:
            yield finding(f"{replicas.value:g} replica", "replicas: 2 or more", replicas, pod.place)
        count = least or replicas
        budget, available = pod.numbers.get("budget_unavailable"), pod.numbers.get("budget_available")
        if budget is not None and (budget.value <= 0 or (count is not None and budget.value >= count.value)):
            what = "no pod may leave a node" if budget.value <= 0 else "every pod may be away at once"
            yield finding(f"maxUnavailable: {budget.value:g} of the budget: {what}", "maxUnavailable: 1", budget, count)
        if available is not None and count is not None and available.value >= count.value:
            yield finding(
                f"minAvailable: {available.value:g} of {count.value:g} pods: no pod may leave a node",
                "maxUnavailable: 1",
                available,
                count,
            )


@RULES.rule(
    "R36",
    "A load balancer lets running requests finish before it forgets a target, within the pod's time to stop.",
    "AWS, deregistration_delay.timeout_seconds",
    computes=("drain", "longest_request", "grace_period"),
)
def balancer_forgets(files: Files) -> Iterator[Finding]:
    for pod in files.pods:
        delay = pod.numbers.get("deregistration")
        stop = next((each for each in files.stops if each.unit == pod.unit), None)
        if delay is None:
            continue
        if stop is not None and stop.seconds is not None and delay.value > stop.seconds.value:
            yield finding(
                f"the balancer keeps a target for {delay.value:g} s, and the pod is killed after "
                f"{stop.seconds.value:g} s",
                f"{_draining(delay)} {stop.seconds.value:g} or less",
                delay,
                stop.seconds,
            )
        for server in files.servers:
            request = longest(files, server)
            if request is not None and delay.value < request.value:
                yield finding(
                    f"the balancer cuts requests after {delay.value:g} s, and one may take {request.value:g} s",
                    f"{_draining(delay)} {request.value:g} or more",
                    delay,
                    request,
                )


def _draining(delay: Fact[float]) -> str:
    """Return the setting, as its file spells it."""
    known = "drainingTimeoutSec" in delay.place.text
    return "drainingTimeoutSec:" if known else "deregistration_delay.timeout_seconds ="


def _under(path: str, folders: str) -> bool:
    return any(
        path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders.split() if folder != "/"
    )


def _text(facts: dict[str, Fact[str]], name: str) -> str:
    fact = facts.get(name)
    return "" if fact is None else fact.value


@RULES.rule(
    "R37",
    "The folder PROMETHEUS_MULTIPROC_DIR can be written, is empty at each start, and belongs to one pod.",
    "prometheus_client, Multiprocess Mode; measured: without the folder every request was a 500",
    computes=("metrics_folder",),
)
def metrics_folder(files: Files) -> Iterator[Finding]:
    for stop in files.stops:
        folder = stop.texts.get("metrics_folder")
        if folder is None:
            continue
        shared = stop.texts.get("shared_paths")
        if shared is not None and _under(folder.value, shared.value):
            yield finding(
                f"{folder.value} is on a volume that outlives the process, or that others share",
                "use an emptyDir, a tmpfs, or RuntimeDirectory",
                folder,
                shared,
            )
        elif stop.kind == "systemd":
            runtime = stop.texts.get("runtime_directory")
            writable = _text(stop.texts, "runtime_directory") + " " + _text(stop.texts, "write_paths")
            writable += " /tmp /var/tmp" if "private_tmp" in stop.texts else ""
            made = _under(folder.value, _text(stop.texts, "runtime_directory")) or "cleans" in stop.texts
            if "protect_system" in stop.texts and not _under(folder.value, writable + " /dev/shm"):
                yield finding(
                    f"ProtectSystem=strict lets nobody write {folder.value}",
                    "RuntimeDirectory= for the folder",
                    folder,
                    stop.texts["protect_system"],
                )
            elif not made:
                yield finding(
                    f"nothing makes {folder.value} anew at a start",
                    "put it below RuntimeDirectory=",
                    folder,
                    runtime or stop.place,
                )
        elif "read_only" in stop.texts and not _under(folder.value, _text(stop.texts, "write_paths")):
            yield finding(
                f"the root file system is read-only, and {folder.value} is on it",
                "mount an emptyDir or a tmpfs there",
                folder,
                stop.texts["read_only"],
            )


@RULES.rule(
    "R38",
    "The folder of the drain file exists, and a restart removes the file.",
    "systemd.exec, RuntimeDirectory, RuntimeDirectoryPreserve; measured",
)
def drain_file(files: Files) -> Iterator[Finding]:
    named = None if files.chain is None else files.chain.texts.get("drain_file")
    if named is None:
        return
    for stop in files.stops:
        preserved, runtime = stop.texts.get("runtime_preserve"), stop.texts.get("runtime_directory")
        cleans = stop.texts.get("cleans")
        removed = cleans is not None and (
            named.value in cleans.value or PurePosixPath(named.value).name in cleans.value
        )
        if removed or stop.kind not in ("systemd", "kubernetes", "compose"):
            continue
        inside = runtime is not None and _under(named.value, runtime.value)
        if stop.kind == "systemd" and inside and preserved is not None:
            yield finding(
                f"{named.value} stays over a restart, and the server stays out of service",
                f"ExecStartPre=-/bin/rm -f {named.value}",
                named,
                preserved,
            )
        elif stop.kind == "systemd" and not inside:
            yield finding(
                f"nothing makes the folder of {named.value}, or removes the file at a start",
                "put it below RuntimeDirectory=, or remove it with ExecStartPre=",
                named,
                runtime or stop.place,
            )
        elif stop.kind != "systemd" and _under(named.value, _text(stop.texts, "shared_paths")):
            yield finding(
                f"{named.value} is on a volume that outlives the container",
                "use an emptyDir or a tmpfs",
                named,
                stop.texts["shared_paths"],
            )
        elif (
            stop.kind != "systemd"
            and "read_only" in stop.texts
            and not _under(named.value, _text(stop.texts, "write_paths"))
        ):
            yield finding(
                f"the root file system is read-only, and {named.value} is on it",
                "mount an emptyDir or a tmpfs there",
                named,
                stop.texts["read_only"],
            )


@RULES.rule(
    "R39",
    "On a read-only file system, everything that a server or a proxy writes has a place.",
    "gunicorn settings, worker_tmp_dir, control_socket; ngx_http_core_module, client_body_temp_path",
)
def writes_have_a_place(files: Files) -> Iterator[Finding]:
    for stop in files.stops:
        closed = stop.texts.get("read_only")
        strict = stop.texts.get("protect_system")
        writable = _text(stop.texts, "write_paths")
        for server in _servers(files, stop):
            if server.name != "gunicorn" or not server.complete:
                continue
            folder, control = server.text("worker_tmp_dir"), server.text("control_socket")
            where = "/tmp" if folder is None else folder.value
            reachable = _under(where, writable) or (
                folder is not None and where == "/dev/shm" and stop.kind != "kubernetes"
            )
            if closed is not None and where == "/dev/shm" and folder is not None:
                reachable = True  # every container runtime mounts it
            if closed is not None and not reachable:
                yield finding(
                    f"the root file system is read-only, and Gunicorn writes its heartbeat to {where}",
                    "worker_tmp_dir = '/dev/shm', or mount a tmpfs at /tmp",
                    closed,
                    folder or server.place,
                )
            if (
                strict is not None
                and folder is None
                and "private_tmp" not in stop.texts
                and not _under("/tmp", writable)
            ):
                yield finding(
                    "ProtectSystem=strict lets nobody write /tmp, where Gunicorn writes its heartbeat",
                    "PrivateTmp=yes, or worker_tmp_dir = '/dev/shm'",
                    strict,
                    server.place,
                )
            if closed is not None and control is None:
                yield finding(
                    "the root file system is read-only, and Gunicorn makes a control socket in its home folder",
                    "control_socket_disable = True",
                    closed,
                    server.place,
                )
        if closed is not None and "nginx_temp" in stop.texts and not _under("/var/cache/nginx", writable):
            yield finding(
                "the root file system is read-only, and NGINX writes large bodies to /var/cache/nginx",
                "mount a tmpfs at /var/cache/nginx and /var/run",
                closed,
                stop.texts["nginx_temp"],
            )


@RULES.rule(
    "R40",
    "The stop signal lets running requests finish, and reaches the server: no shell is process 1.",
    "Docker, STOPSIGNAL, exec form; systemd.kill, KillSignal, KillMode; measured",
)
def signal_drains(files: Files) -> Iterator[Finding]:
    for stop in files.stops:
        mode = stop.texts.get("kill_mode")
        if mode is not None and mode.value in ("none", "process"):
            yield finding(f"KillMode={mode.value} leaves workers behind", "KillMode=mixed", mode, stop.place)
        for server in _servers(files, stop):
            signal = stop.signal.value if stop.signal is not None else "SIGTERM"
            bad = signal in _QUICK.get(server.name, ()) or signal in _KILLS
            if bad and stop.signal is not None:
                yield finding(
                    f"{signal} ends {server.name} without its running requests",
                    "SIGINT" if server.name in _WANT_SIGINT else "SIGTERM",
                    stop.signal,
                    server.place,
                )
            if server.name in _WANT_SIGINT and signal == "SIGTERM" and stop.kind != "heroku":
                others = [s for s in files.stops if s is not stop and s.signal and s.signal.value == "SIGINT"]
                if not others or stop.signal is not None:
                    yield finding(
                        f"{server.name} drops its requests at SIGTERM, and ignores it as process 1",
                        "stop it with SIGINT",
                        stop.signal or Place(stop.place.file, 0, "the stop signal is not set: SIGTERM"),
                        server.place,
                    )
    for server in files.servers:
        shell = server.text("shell")
        stop_of = next((stop for stop in files.stops if stop.unit == server.unit), None)
        if shell is not None:
            yield finding(
                "a shell is the first process, and does not pass the stop signal on",
                "use the exec form, or write exec before the command",
                shell,
                server.place,
                stop_of.seconds if stop_of is not None else None,
                Place(server.place.file, 0, f"the signal is for {server.name}"),
            )
