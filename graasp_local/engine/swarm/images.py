"""The images of core and workers on every machine of the Swarm: sent where the site says so, then run once on each.

The Swarm starts a job on every machine that may run the service. It runs only `true` from the image, so a machine that
does not have the image, or cannot run it, is found while visitors are still served. Raises Refused for such a machine.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose.verbs import docker_words
from graasp_local.engine.images.kept import kept_repository, kept_tag
from graasp_local.engine.reach.client import engine_refusals
from graasp_local.engine.swarm import tasks as swarm_tasks
from graasp_local.engine.swarm.shared_files import job_that_looks
from graasp_local.engine.swarm.tasks import is_reachable, node_name
from graasp_local.errors import Refused
from graasp_local.images.pins import shortened
from graasp_local.settings import Swarm
from graasp_local.wording import listed

if TYPE_CHECKING:
    from docker import DockerClient

_POLL_SECONDS = 0.05
_SAID_EVERY_SECONDS = 5.0
_PULL_SECONDS = 1800.0
"""How long the machines may take to pull an image."""
_APPEARING_SECONDS = 5.0
"""By then the Swarm has given the job to every machine that may run it."""
_ASKING_SECONDS = 10


def have_everywhere(
    client: DockerClient, project: str, images: Mapping[str, str], swarm: Swarm, narrate: Callable[[str], None]
) -> Iterator[str]:
    """Have each service's image on every machine that may run it. Yields lines; raises Refused, naming machines."""
    for engine in swarm.engines:
        yield from _send(client, engine, project, images, narrate)
    for service, image in images.items():
        yield from _run_once_on_each(client, f"{checks_of(project)}{service}", service, image, swarm)


def see_files_everywhere(
    client: DockerClient, project: str, image: str, swarm: Swarm, config: Mapping[str, Any]
) -> Iterator[str]:
    """Check that every machine finds what this one puts into the volume of uploaded files. Raises Refused."""
    container = job_that_looks(client, config, project, image)
    name = f"{checks_of(project)}files"
    done = yield from _run_on_each(client, name, "files", container, swarm, _not_shared)
    yield f"files: {listed(done)} have the same volume"


def checks_of(project: str) -> str:
    """What the names of a site's jobs begin with. A killed operation leaves one behind, which the next one replaces."""
    return f"{project}_check-"


def _not_shared(failed: Mapping[str, str]) -> Refused:
    return Refused(
        f"SWARM_FILES is shared, but {listed(tuple(failed))} cannot read what the front machine has just put into the "
        f"volume files ({'; '.join(dict.fromkeys(failed.values()))}).",
        "Visitors are not affected.",
        "Check the definition of the volume in compose.override.yaml. A machine that already has a volume of that name "
        "keeps the old definition until you remove the volume there.",
    )


def _send(
    client: DockerClient, engine: str, project: str, images: Mapping[str, str], narrate: Callable[[str], None]
) -> Iterator[str]:
    """Send an engine the images that it lacks, under the site's own tags; remove tags there that are gone here.

    What it has under another name gets the tag there.
    """
    repository = kept_repository(project)
    shown = "{{.Repository}}:{{.Tag}} {{.ID}}"
    try:
        there = set(_asked(engine, "image", "ls", "--no-trunc", "--format", shown).splitlines())
    except Refused as error:  # if its machine is up, running the images there shows whether it lacks them
        yield error.what
        return
    held = {each.partition(" ")[2] for each in there}
    lacking = []
    for service, image in images.items():
        with engine_refusals():
            image_id = str(client.api.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]
            tag = f"{repository}:{kept_tag(service, image_id)}"
            client.api.tag(image_id, repository, kept_tag(service, image_id))
        if f"{tag} {image_id}" in there:
            continue
        if image_id in held:  # of another site, or pulled there
            narrate(f"docker --host {shlex.quote(engine)} image tag {image_id} {tag}")
            _asked(engine, "image", "tag", image_id, tag)
            continue
        yield f"{service}: sending {shortened(image_id)} to {engine}"
        lacking.append(tag)
    if lacking:
        _send_at_once(engine, lacking, narrate)
    with engine_refusals():
        here = {tag for each in client.api.images(repository) for tag in each.get("RepoTags") or ()}
    for tag in (each.partition(" ")[0] for each in there):
        if tag.startswith(f"{repository}:") and tag not in here:
            with suppress(Refused):  # a task may still use it
                _asked(engine, "image", "rm", tag)


def _send_at_once(engine: str, tags: Sequence[str], narrate: Callable[[str], None]) -> None:
    """Layers that several images share, as core and workers do, are sent once. Raises Refused."""
    narrate(f"docker save {' '.join(tags)} | docker --host {shlex.quote(engine)} load")
    save = subprocess.Popen([*docker_words(), "save", *tags], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    load = subprocess.run(
        [*docker_words(), "--host", engine, "load", "--quiet"],
        stdin=save.stdout,
        capture_output=True,
        text=True,
    )
    if save.stdout is not None:
        save.stdout.close()
    _, said = save.communicate()
    if save.returncode or load.returncode:
        raise _refusal(engine, (said.decode(errors="replace") if save.returncode else load.stderr))


def _asked(engine: str, *words: str) -> str:
    """What a command of another engine prints. Raises Refused."""
    try:
        done = subprocess.run(
            [*docker_words(), "--host", engine, *words],
            capture_output=True,
            text=True,
            timeout=_ASKING_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise _refusal(engine, f"it did not answer within {_ASKING_SECONDS} s") from None
    if done.returncode:
        raise _refusal(engine, done.stderr)
    return done.stdout


def _refusal(engine: str, said: str) -> Refused:
    last = (said.strip().splitlines() or ["no reason given"])[-1].rstrip(".")
    return Refused(
        f"Images cannot be sent to the engine at {engine}: {last}.",
        "Visitors are not affected.",
        f"Check SWARM_ENGINES in .env, and `docker --host {engine} version`.",
    )


def _run_once_on_each(client: DockerClient, name: str, service: str, image: str, swarm: Swarm) -> Iterator[str]:
    def cannot(failed: Mapping[str, str]) -> Refused:
        told = "; ".join(f"{node}: {why}" for node, why in failed.items())
        return Refused(
            f"{shortened(image)}, the image of {service}, does not run on every machine of the Swarm. {told}.",
            "Visitors are not affected.",
            "If these machines cannot pull it from a registry, name their engines in SWARM_ENGINES, so that this "
            "machine sends it to them.",
        )

    container = {"Image": image, "Command": ["true"]}
    done = yield from _run_on_each(client, name, service, container, swarm, cannot)
    yield f"{service}: {listed(done)} can run its image"


def _run_on_each(
    client: DockerClient,
    name: str,
    what: str,
    container: Mapping[str, Any],
    swarm: Swarm,
    refusal: Callable[[Mapping[str, str]], Refused],
) -> Generator[str, None, tuple[str, ...]]:
    """Run a container once on every machine that may run the site's, and return their names. Raises `refusal`."""
    constraints = [each.replace("==", " == ").replace("!=", " != ") for each in swarm.placement]
    with engine_refusals():
        _remove(client, name)
        made = client.api.create_service(  # type: ignore[no-untyped-call]
            {
                "ContainerSpec": container,
                "RestartPolicy": {"Condition": "none"},
                "Placement": {"Constraints": constraints},
            },
            name=name,
            mode={"GlobalJob": {}},
        )
        try:
            failed, done = yield from _awaited(str(made["ID"]), what)
        finally:
            _remove(client, name)
    if failed:
        raise refusal(failed)
    return done


def _awaited(job: str, service: str) -> Generator[str, None, tuple[dict[str, str], tuple[str, ...]]]:
    """Wait until every machine has run it or failed to. What went wrong on which, and the names of the others."""
    began = said = time.monotonic()
    while True:
        nodes = {node["ID"]: node for node in swarm_tasks.listed("/nodes", "")}
        tasks = [task for task in swarm_tasks.listed("/tasks", "") if task["ServiceID"] == job]
        waiting, failed, done = outcomes(tasks, nodes)
        now = time.monotonic()
        if (failed or done) and not waiting:
            break
        if not tasks and now - began > _APPEARING_SECONDS:
            raise Refused(
                f"No machine of the Swarm can run {service}: none that is up and accepts tasks matches "
                "SWARM_PLACEMENT.",
                "Visitors are not affected.",
                "`graasp-local nodes` lists the machines with their labels.",
            )
        if now - began > _PULL_SECONDS:
            failed |= dict.fromkeys(waiting, f"it did not finish within {_PULL_SECONDS:.0f} s")
            break
        if now - said > _SAID_EVERY_SECONDS:
            said = now
            yield f"{service}: waiting for {listed(tuple(waiting))}"
        time.sleep(_POLL_SECONDS)
    return failed, done


def outcomes(
    tasks: list[dict[str, Any]], nodes: Mapping[str, Mapping[str, Any]]
) -> tuple[set[str], dict[str, str], tuple[str, ...]]:
    """The names of machines that are not done yet, what went wrong on others, and the names of those that are done."""
    waiting, failed, done = set(), {}, set()
    for task in tasks:
        node = nodes.get(task.get("NodeID", ""))
        if node is None or not is_reachable(node):
            continue
        state, name = task["Status"]["State"], node_name(node)
        if state == "complete":
            done.add(name)
        elif state in swarm_tasks.FAILED:
            failed[name] = str(task["Status"].get("Err") or "no reason given").rstrip(".")
        elif state not in swarm_tasks.ENDED:
            waiting.add(name)
    return waiting - {*failed} - done, dict(sorted(failed.items())), tuple(sorted(done - {*failed}))


def _remove(client: DockerClient, name: str) -> None:
    from docker.errors import NotFound

    with suppress(NotFound):
        client.api.remove_service(name)  # type: ignore[no-untyped-call]


def remove_checks(client: DockerClient, project: str) -> None:
    """Remove the jobs that a killed operation left behind."""
    for service in client.api.services(filters={"name": checks_of(project)}):  # type: ignore[no-untyped-call]
        _remove(client, str(service["Spec"]["Name"]))
