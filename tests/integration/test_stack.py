"""The whole stack on the demo images: every part on the one origin, the states, what survives, what may be missing."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import AS_BROWSER, AS_PROGRAM, COMMAND, Answer, DemoSite, wait_for

SETTINGS_THAT_CORE_NEEDS = {
    *("SECURE_SESSION_SECRET_KEY", "JWT_SECRET", "PASSWORD_RESET_JWT_SECRET", "EMAIL_CHANGE_JWT_SECRET"),
    *("APPS_JWT_SECRET", "DB_CONNECTION", "REDIS_CONNECTION", "MAILER_CONNECTION", "COOKIE_DOMAIN", "ETHERPAD_URL"),
    *("ETHERPAD_API_KEY", "EMBEDDED_LINK_ITEM_IFRAMELY_HREF_ORIGIN", "APPS_PUBLISHER_ID", "GRAASPER_CREATOR_ID"),
    *("RECAPTCHA_SECRET_ACCESS_KEY", "H5P_PATH_PREFIX", "H5P_FILE_STORAGE_TYPE", "H5P_STORAGE_ROOT_PATH"),
    *("FILE_STORAGE_TYPE", "FILE_STORAGE_ROOT_PATH", "FILE_STORAGE_HOST", "MEILISEARCH_URL", "H5P_FILE_STORAGE_HOST"),
}
"""What the real core refuses to boot without."""

PARTS = ("admin", "client", "etherpad", "files", "iframely", "mailpit", "nudenet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A site with every part of the stack."""
    site = DemoSite(tmp_path_factory.mktemp("whole") / "site")
    try:
        site.configure(COMPOSE_PROFILES=",".join(PARTS), MAILER_CONNECTION="smtp://user:password@mailpit:1025")
        site.deploy("1.0.0")
        yield site
    finally:
        site.down()


def upload(site: DemoSite, name: str, body: str) -> str:
    """Give a file to core; returns the path under which a browser is told to find it."""
    answer = site.ask(f"/api/files/{name}", {**AS_PROGRAM, **site.bypass()}, "PUT", body)
    assert answer.status == 201, answer
    url = str(answer.json()["url"])
    origin = site.setting("PUBLIC_URL")
    assert url.startswith(f"{origin}/files/")
    return url.removeprefix(origin)


def open_pad(site: DemoSite) -> Answer:
    return site.ask("/api/pads", {**AS_PROGRAM, **site.bypass()}, "POST")


def test_every_part_is_on_and_healthy(whole: DemoSite) -> None:
    # A deployment does not wait for the admin.
    wait_for(lambda: not whole.status()["lacking"], "what Graasp serves without is well too")
    told = whole.status()
    assert told["state"] == "running"
    assert {service["service"] for service in told["services"]} >= set(PARTS) | {"meilisearch"}
    assert {service["health"] for service in told["services"]} == {"healthy"}
    core = whole.ask("/api/status").json()
    assert {name: part["status"] for name, part in core.items()} == dict.fromkeys(core, "healthy")


def test_the_client_serves_all_other_addresses_and_core_its_api(whole: DemoSite) -> None:
    for path in ("/", "/builder/items/1?mode=info", "/account"):
        assert "Demo client" in whole.ask(path, AS_BROWSER).body, path
    script = whole.ask("/assets/app.js", AS_BROWSER)
    assert (script.status, script.headers["content-type"].partition(";")[0]) == (200, "text/javascript")
    assert whole.ask("/api/version").json()["version"] == "v1.0.0"
    assert whole.ask("/health").body == "OK"


def test_without_the_client_core_answers_for_it(site: DemoSite) -> None:
    assert "Demo Graasp" in site.ask("/", AS_BROWSER).body
    assert site.ask("/api/version").status == 200


def test_uploaded_files_are_found_where_core_says_they_are(whole: DemoSite) -> None:
    path = upload(whole, "notes.txt", "about rivers")
    answer = whole.ask(path)
    assert (answer.status, answer.body) == (200, "about rivers")
    assert whole.ask("/files/").status == 404
    assert whole.ask("/files/../../etc/passwd").status in (400, 404)


def test_a_page_that_was_uploaded_has_no_rights_on_the_site(whole: DemoSite) -> None:
    page = whole.ask(upload(whole, "page.html", "<script>alert(1)</script>"))
    assert page.headers["content-security-policy"].startswith("sandbox;")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" not in whole.ask(upload(whole, "notes.txt", "x")).headers["content-security-policy"]


def test_a_pad_is_made_with_the_key_and_opened_on_the_origin(whole: DemoSite) -> None:
    told = open_pad(whole).json()
    assert told["etherpad"]["code"] == 0
    path = told["url"].removeprefix(whole.setting("PUBLIC_URL"))
    led = whole.ask(path, AS_BROWSER)
    assert (led.status, led.headers["location"]) == (302, f"/etherpad{path}")
    assert "Etherpad stand-in" in whole.ask(led.headers["location"], AS_BROWSER).body
    assert whole.ask("/etherpad/static/css/pad.css").status == 200


def test_mail_goes_to_mailpit(whole: DemoSite) -> None:
    assert whole.ask("/api/mails", AS_PROGRAM, "POST").json() == {"sent": True}


def test_the_admin_has_a_host_of_its_own_and_stays_reachable_behind_a_closed_gate(whole: DemoSite) -> None:
    admin = {"Host": f"admin.localhost:{whole.port}"}
    page = whole.ask("/", {**AS_BROWSER, **admin}).body
    assert "Admin stand-in" in page
    assert "on admin.localhost" in page
    whole.run("apply", "restricted")
    assert "Admin stand-in" in whole.ask("/", {**AS_BROWSER, **admin}).body
    whole.run("apply", "running")
    assert "Admin stand-in" not in whole.ask("/", AS_BROWSER).body


def test_core_finds_the_classifier_of_images(whole: DemoSite) -> None:
    ask = ("curl", "-fsS", "-d", "an image", "http://nudenet:8080/infer")
    assert json.loads(whole.run("compose", "--", "exec", "-T", "core", *ask).stdout)["success"] is True


def test_a_closed_gate_holds_for_all_of_it(whole: DemoSite) -> None:
    path = upload(whole, "secret.txt", "not for visitors")
    whole.run("apply", "restricted")
    for behind in ("/", "/assets/app.js", path, "/h5p/x", "/p/pad", "/etherpad/p/pad", "/api/version", "/health"):
        assert whole.ask(behind).status == 503, behind
        assert whole.ask(behind, AS_BROWSER).headers["location"] == "/maintenance", behind
    assert whole.ask(path, {**AS_PROGRAM, **whole.bypass()}).body == "not for visitors"
    whole.run("apply", "running")


def test_core_gets_files_from_inside_whatever_the_gate_says_and_no_other_client_does(whole: DemoSite) -> None:
    path = upload(whole, "lesson.txt", "about lakes")
    assert whole.ask("/api/exports/lesson.txt").body == "about lakes"
    whole.run("apply", "restricted")
    try:
        assert whole.ask("/api/exports/lesson.txt", {**AS_PROGRAM, **whole.bypass()}).body == "about lakes"
        assert whole.ask(path).status == 503
        inside = whole.containers()["nginx"]["NetworkSettings"]["Networks"][f"{whole.project}_inside"]["IPAddress"]
        url = f"http://{inside}:{whole.port}{path}"
        # Only uploaded files, only to core and workers.
        asked = {"core": ("/api/version", "/files/../api/version"), "files": ("",), "etherpad": ("",)}
        for service, paths in asked.items():
            for other in paths:
                asked_for = url.replace(path, other) if other else url
                asks = f"curl --silent --path-as-is --max-time 3 -o /dev/null -w '%{{http_code}}' {asked_for} || true"
                told = whole.run("compose", "--", "exec", "-T", service, "sh", "-c", asks).stdout
                assert told in ("503", "000"), (service, other)
    finally:
        whole.run("apply", "running")


@pytest.mark.parametrize(
    ("url", "cookies"), [("http://198.51.100.7:8099", "198.51.100.7"), ("https://[2001:db8::7]", "[2001:db8::7]")]
)
def test_core_gets_files_of_a_site_whose_address_does_not_work_inside(whole: DemoSite, url: str, cookies: str) -> None:
    before = (whole.directory / ".env").read_text()
    try:
        whole.configure(PUBLIC_URL=url, COOKIE_DOMAIN=cookies, TRUSTED_PROXIES="host")
        whole.run("apply", "restricted")
        upload(whole, "by-address.txt", "found by its address")
        found = whole.ask("/api/exports/by-address.txt", {**AS_PROGRAM, **whole.bypass()})
        assert (found.status, found.body) == (200, "found by its address")
    finally:
        (whole.directory / ".env").write_text(before)
        whole.run("apply", "running")


def test_node_routes_an_address_to_nginx_and_nothing_else(tmp_path: Path) -> None:
    """What core and workers load for that, in a node of its own: the demo's core is none."""
    hook = Path(__file__).parents[2] / "compose" / "names" / "by-address.cjs"
    script = tmp_path / "ask.cjs"
    script.write_text("""
const dns = require("node:dns"), http = require("node:http"), net = require("node:net");
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => lookup(name === "graasp-inside" ? "127.0.0.1" : name, ...rest);
const server = http.createServer((request, response) => response.end(request.headers.host));
server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  process.env.GRAASP_INSIDE_INSTEAD_OF = `2001:db8::7 ${port}`;
  require(process.argv[2]);
  const told = [await (await fetch(`http://[2001:db8::7]:${port}/`)).text()];
  told.push(await new Promise((done) => http.get({ host: "2001:db8::7", port }, (answer) => answer.on("data", done))));
  const other = net.connect({ host: "127.0.0.1", port: 9 });
  other.on("error", (error) => { console.log(JSON.stringify([...told.map(String), error.address])); process.exit(); });
});
""")
    done = subprocess.run(["node", str(script), str(hook)], capture_output=True, text=True, timeout=60, check=False)
    asked, asked_again, other = json.loads(done.stdout)
    assert asked.startswith("[2001:db8::7]:"), done.stderr
    assert asked_again.startswith("[2001:db8::7]:")
    assert other == "127.0.0.1"


def test_h5p_is_shown_by_a_page_of_the_sites_own(whole: DemoSite) -> None:
    content = "2d5f0a8e-8d0c-4c1e-9c80-1f2f0a8e8d0c"
    shown = whole.ask(f"/api/items/h5p/{content}").json()["extra"]["h5p"]["integrationUrl"]
    page = whole.ask(shown.removeprefix(whole.setting("PUBLIC_URL")) + f"&content={content}", AS_BROWSER)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert "'/h5p/h5p-content/' + id + '/content'" in page.body
    for asset in re.findall(r"/api/items/h5p-assets/[\w./]+", page.body):
        assert whole.ask(asset).status == 200, asset


def test_short_links_redirect_where_core_says(whole: DemoSite) -> None:
    url = whole.ask("/api/items/short-links/lakes", AS_PROGRAM, "POST").json()["url"]
    led = whole.ask(url.removeprefix(whole.setting("PUBLIC_URL")), AS_BROWSER)
    assert (led.status, led.headers["location"]) == (302, f"{whole.setting('PUBLIC_URL')}/player/lakes")


def test_with_nudenet_on_an_item_with_an_image_is_published_and_without_it_the_reason_is_reported(
    whole: DemoSite, site: DemoSite
) -> None:
    assert whole.ask("/api/publish", AS_PROGRAM, "POST").json()["success"] is True
    assert site.ask("/api/publish", AS_PROGRAM, "POST").status == 400
    assert "items with an image cannot be published" in site.run("config", "check").stdout


def test_the_session_is_secure_and_config_check_says_where_logins_would_not_last(site: DemoSite) -> None:
    cookie = site.ask("/api/login", AS_PROGRAM, "POST").headers["set-cookie"]
    assert "secure" in cookie.lower()
    told = site.run("config", "check").stdout
    assert "users are logged out at once" not in told  # on localhost
    before = (site.directory / ".env").read_text()
    try:
        site.configure(PUBLIC_URL="http://graasp.school.example", COOKIE_DOMAIN="graasp.school.example")
        assert "users are logged out at once" in site.run("config", "check").stdout
    finally:
        (site.directory / ".env").write_text(before)


def test_what_was_written_survives_the_states_and_new_containers(whole: DemoSite) -> None:
    path = upload(whole, "kept.txt", "kept")
    search = "/api/search/indexes/items/documents"
    assert whole.ask(search, AS_PROGRAM, "POST", json.dumps([{"id": "kept"}])).status == 202
    pads = open_pad(whole).json()["etherpad"]["data"]["pads"]
    whole.run("apply", "stopped")
    assert whole.running() == set()
    whole.run("compose", "--", "rm", "--force", "core", "files", "meilisearch", "etherpad", "db")
    whole.run("apply", "running")
    assert whole.ask(path).body == "kept"
    assert {"id": "kept"} in whole.ask(search).json()["results"]
    assert open_pad(whole).json()["etherpad"]["data"]["pads"] == pads + 1


def test_db_only_turns_all_of_graasp_off(whole: DemoSite) -> None:
    whole.run("apply", "db-only")
    assert whole.running() == {"db", "umami", "nginx"}
    whole.run("apply", "running")


def test_a_deployment_takes_the_client_along(whole: DemoSite) -> None:
    assert whole.deploy("1.1.0")["outcome"] == "done"
    assert "v1.1.0" in whole.ask("/", AS_BROWSER).body
    # It had held a connection to the database that was copied and migrated, and is back on it; nothing waits for it.
    wait_for(lambda: not whole.status()["lacking"], "the admin is well too")
    assert "Admin stand-in" in whole.ask("/", {**AS_BROWSER, "Host": f"admin.localhost:{whole.port}"}).body


def test_limits_reach_the_containers(whole: DemoSite) -> None:
    limits = {name: found["HostConfig"]["Memory"] for name, found in whole.containers().items()}
    assert all(limits.values()), limits
    assert limits["core"] == 2 * 1024**3


def test_an_optional_part_that_does_not_start_fails_no_operation_and_is_reported(whole: DemoSite) -> None:
    key = whole.directory / "compose.override.yaml"
    before = key.read_text()
    key.write_text(before.replace("  etherpad:\n", "  etherpad:\n    command: [sh, -c, exit 1]\n"))
    try:
        assert "Graasp works without it" in whole.run("apply", "running").stderr
        told = whole.status()
        assert told["state"] == "running"
        assert told["lacking"][0].startswith("etherpad is ")
        assert told["next"] == ["graasp-local apply running"]
        ended = whole.deploy("1.2.0")
        assert (ended["outcome"], ended["state"]) == ("done", "running")
        assert whole.ask("/etherpad/p/pad").status == 503
        assert whole.ask("/api/version").status == 200
    finally:
        key.write_text(before)
    whole.run("apply", "running")
    assert whole.status()["lacking"] == []


def test_search_answers_what_core_and_workers_ask_of_it(whole: DemoSite) -> None:
    """As the real core does it: the index at boot, then a second one, swapped in, and searched with a filter."""

    def ask(method: str, path: str, sent: object = None) -> Answer:
        return whole.ask(f"/api/search/{path}", AS_PROGRAM, method, None if sent is None else json.dumps(sent))

    def done(method: str, path: str, sent: object = None) -> None:
        task = ask(method, path, sent)
        assert task.status == 202, task
        assert ask("GET", f"tasks/{task.json()['taskUid']}").json()["status"] == "succeeded"

    assert "itemIndex" in {index["uid"] for index in ask("GET", "indexes?limit=20").json()["results"]}
    missing = ask("GET", "indexes/itemIndex_tmp")
    assert (missing.status, missing.json()["code"]) == (404, "index_not_found")
    done("POST", "indexes", {"uid": "itemIndex_tmp"})
    done("DELETE", "indexes/itemIndex_tmp/documents")
    done("PATCH", "indexes/itemIndex_tmp/settings", {"filterableAttributes": ["isHidden", "creator"]})
    published = [{"id": "1", "name": "Volcanoes", "isHidden": False, "creator": {"id": "a"}}]
    done("POST", "indexes/itemIndex_tmp/documents", [*published, {"id": "2", "name": "Volcanoes", "isHidden": True}])
    done("POST", "swap-indexes", [{"indexes": ["itemIndex", "itemIndex_tmp"]}])
    done("PATCH", "indexes/itemIndex/settings/faceting", {"maxValuesPerFacet": 50})
    done("PUT", "indexes/itemIndex/documents", [{"id": "1", "likes": 3}])
    wanted = {"indexUid": "itemIndex", "q": "volcano", "filter": "creator.id = 'a' AND isHidden = false"}
    (found,) = ask("POST", "multi-search", {"queries": [wanted]}).json()["results"]
    assert [(hit["id"], hit["likes"]) for hit in found["hits"]] == [("1", 3)]
    refused = ask("POST", "multi-search", {"queries": [{**wanted, "filter": "lang IN [en]"}]})
    assert (refused.status, refused.json()["code"]) == (400, "invalid_search_filter")
    done("POST", "indexes/itemIndex/documents/delete-batch", ["1", "2"])


def test_core_ends_where_meilisearch_is_not_reached(new_site: DemoSite) -> None:
    new_site.configure(MEILISEARCH_URL="http://nobody.invalid:7700")
    assert new_site.deploy("1.0.0", code=20)["outcome"] == "rolled-back"
    assert "core has crashed" in new_site.run("history", "--last").stdout


def test_etherpad_gets_its_database_on_a_site_that_was_made_before_it(site: DemoSite) -> None:
    databases = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
    assert ("etherpad",) not in site.database("postgres", databases)
    before = site.database("postgres", databases)
    site.create_item("from before")
    site.configure(COMPOSE_PROFILES="etherpad")
    assert "created the database etherpad" in site.run("apply", "running").stderr
    assert site.database("postgres", databases) == sorted([*before, ("etherpad",)])
    assert site.database("postgres", "SELECT rolname FROM pg_roles WHERE rolname = 'etherpad' AND NOT rolsuper")
    assert open_pad(site).json()["etherpad"]["code"] == 0
    assert "from before" in site.item_names()
    assert "created the database" not in site.run("apply", "restricted").stderr
    site.run("apply", "running")


def test_a_service_of_your_own_follows_the_states_and_gets_a_database(site: DemoSite) -> None:
    override = site.directory / "compose.override.yaml"
    before = override.read_text()
    labels = {"org.graasp.group": "graasp", "org.graasp.database": "reports"}
    reports = {"image": "localhost/graasp-demo/iframely:1", "labels": labels}
    site.amend_override({"services": {"workers": {"mem_limit": "300m"}, "reports": reports}})
    site.configure(REPORTS_DB_PASSWORD="0123456789abcdefghij")
    try:
        site.run("apply", "running")
        found = site.containers()
        assert found["reports"]["State"]["Running"]
        assert found["workers"]["HostConfig"]["Memory"] == 300 * 1024**2
        assert site.database("postgres", "SELECT 1 FROM pg_database WHERE datname = 'reports'")
        site.run("apply", "db-only")
        assert "reports" not in site.running()
        site.run("apply", "running")
        assert "reports" in site.running()
    finally:
        site.run("compose", "--", "rm", "--stop", "--force", "reports")
        override.write_text(before)
    site.run("apply", "running")


def test_compose_understands_the_real_stack_with_every_part_on(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run([*COMMAND, "--site", str(tmp_path), *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", str(tmp_path), "--url", "https://graasp.school.example")
    env = tmp_path / ".env"
    every = "COMPOSE_PROFILES=admin,client,etherpad,files,iframely,mailpit,nudenet"
    env.write_text(re.sub(r"^COMPOSE_PROFILES=.*$", every, env.read_text(), flags=re.MULTILINE))
    services = json.loads(run("compose", "--for-version", "2.14.2", "--", "config", "--format", "json"))["services"]
    images = {name: service["image"] for name, service in services.items()}
    assert images["core"] == "public.ecr.aws/graasp/graasp:core-v2.14.2"
    assert images["client"] == "public.ecr.aws/graasp/graasp:client-v2.14.2"
    assert images["meilisearch"] == "getmeili/meilisearch:v1.8.4"
    assert images["db"] == "postgres:16.11"
    settings = services["core"]["environment"]
    assert settings["PUBLIC_URL"] == settings["CLIENT_HOST"] == "https://graasp.school.example"
    assert settings["ETHERPAD_PUBLIC_URL"] == "https://graasp.school.example"
    assert settings["FILE_STORAGE_HOST"] == "https://graasp.school.example/files/"
    assert settings["H5P_INTEGRATION_URL"] == "https://graasp.school.example/h5p-integration.html"
    assert settings["IMAGE_CLASSIFIER_API"] == "http://nudenet:8080/infer"
    assert {key for key in SETTINGS_THAT_CORE_NEEDS if not settings[key]} == set()
