from pathlib import Path

from graasp_local.engine.nginx.tcp_table import table_of_process

CONTAINER = "4f2c" * 16
HEADING = "  sl  local_address rem_address   st\n"
TABLE = HEADING + "   0: 0100007F:1F91 00000000:0000 0A\n"


def a_process(proc: Path, number: int, cgroup: str, table: str = TABLE) -> None:
    (proc / str(number) / "net").mkdir(parents=True)
    (proc / str(number) / "cgroup").write_text(cgroup)
    (proc / str(number) / "net" / "tcp").write_text(table)


def test_the_table_of_the_containers_own_process_is_read(tmp_path: Path) -> None:
    a_process(tmp_path, 42, f"0::/system.slice/docker-{CONTAINER}.scope\n")
    assert table_of_process(42, CONTAINER, tmp_path) == TABLE


def test_a_process_of_another_container_or_of_none_is_not_believed(tmp_path: Path) -> None:
    a_process(tmp_path, 42, "0::/user.slice/user-1000.slice/session-3.scope\n")
    a_process(tmp_path, 43, f"0::/docker/{'9' * 64}\n")
    assert [table_of_process(number, CONTAINER, tmp_path) for number in (42, 43, 44)] == [None, None, None]


def test_a_sandbox_with_a_network_of_its_own_is_asked_inside(tmp_path: Path) -> None:
    a_process(tmp_path, 42, f"0::/system.slice/docker-{CONTAINER}.scope\n", HEADING)
    assert table_of_process(42, CONTAINER, tmp_path) is None
