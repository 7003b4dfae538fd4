"""What is in the way of Compose, and what was pulled away from under it: the next `apply` sees and fixes it."""

from __future__ import annotations

from contextlib import closing

from tests.integration.demo_site import DemoSite


def test_leftovers_of_an_interrupted_recreate_do_no_harm(site: DemoSite) -> None:
    core = site.containers()["core"]
    name = f"{core['Id'][:12]}_{site.project}-core-1"
    with closing(site.engine()) as client:
        client.api.create_container(core["Image"], name=name, labels=core["Config"]["Labels"])
    site.configure(LOG_LEVEL="debug")
    site.run("apply", "running")
    assert site.status()["state"] == "running"
    with closing(site.engine()) as client:
        names = [c["Names"][0] for c in client.api.containers(all=True, filters={"name": f"{site.project}-core"})]
    assert names == [f"/{site.project}-core-1"]


def test_a_site_whose_directory_was_moved_is_reported_and_recreated(site: DemoSite) -> None:
    site.create_item("kept")
    before = site.directory
    site.directory = before.rename(before.with_name("moved"))
    found = site.status()
    assert found["state"] == "drifted"
    assert any("core uses files of the directory that the site was moved from" in told for told in found["drift"])
    site.run("apply", "restricted")
    site.run("apply", "running")
    assert site.status()["state"] == "running"
    for name, container in site.containers().items():
        assert not [bound for bound in container["HostConfig"]["Binds"] or [] if str(before) in bound], name
        assert container["Config"]["Labels"]["com.docker.compose.project.working_dir"] == str(site.directory), name
    site.run("compose", "--", "restart", "db")
    site.run("apply", "running")
    assert [item["name"] for item in site.ask("/api/items").json()] == ["kept"]
