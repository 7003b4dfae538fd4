"""What an inspection is made into: no secret is seen in it."""

from __future__ import annotations

from graasp_local.engine.site.container_detail import MASK, detail_of, masked

INSPECTED = {
    "Image": "sha256:0123",
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "StartedAt": "2026-01-02T03:04:05.123456789Z",
        "Health": {
            "Status": "starting",
            "FailingStreak": 3,
            "Log": [{"ExitCode": 1, "Output": "no answer of hunter22\n", "End": "2026-01-02T03:04:06Z"}],
        },
    },
    "Config": {
        "Image": "graasp:core-v1.0.0",
        "Labels": {"com.docker.compose.service": "core"},
        "Env": [
            "DB_CONNECTION=postgresql://graasp:s3cret@db:5432/graasp",
            "JWT_SECRET=abc",
            "S3_ACCESS_KEY_ID=GK31c2",
            "MONKEY=1",
            "DB_PASSWORD_FILE=/run/secrets/db-password",
            "GREETING=hello hunter22",
            "EMPTY_PASSWORD=",
        ],
        "Healthcheck": {"Retries": 40, "StartPeriod": 300_000_000_000},
    },
    "HostConfig": {"Memory": 536_870_912},
    "Mounts": [{"Name": "school_files", "Destination": "/data", "RW": False}],
    "NetworkSettings": {"Networks": {"school_inside": {"IPAddress": "172.18.0.4"}}},
}


def test_an_inspection_is_shown_without_secrets() -> None:
    told = detail_of(INSPECTED, ["hunter22"])
    assert dict(told.environment) == {
        "DB_CONNECTION": f"postgresql://graasp:{MASK}@db:5432/graasp",
        "JWT_SECRET": MASK,
        "S3_ACCESS_KEY_ID": MASK,
        "MONKEY": "1",
        "DB_PASSWORD_FILE": "/run/secrets/db-password",
        "GREETING": f"hello {MASK}",
        "EMPTY_PASSWORD": "",
    }
    assert told.answers[0].output == f"no answer of {MASK}"
    assert (told.service, told.digest, told.restarts, told.failing_streak) == ("core", "sha256:0123", 2, 3)
    assert (told.retries, told.start_seconds, told.memory_limit) == (40, 300.0, 536_870_912)
    assert told.mounts == ("school_files → /data (read only)",)
    assert told.networks == ("school_inside 172.18.0.4",)


def test_a_container_without_health_check_or_anything_else_is_described_too() -> None:
    told = detail_of({"Config": {}, "State": {"StartedAt": "0001-01-01T00:00:00Z"}}, [])
    assert (told.started_at, told.health, told.answers) == (None, "", ())


def test_a_secret_that_is_part_of_another_hides_neither() -> None:
    assert masked("x longer-secret y", ["longer", "longer-secret"]) == f"x {MASK} y"
