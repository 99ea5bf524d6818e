from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vjo_train.data.download import Archive, download, fetch, unpack
from vjo_train.errors import DataError

PROOF = "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt"


def tar(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            file.addfile(member)
    return buffer.getvalue()


GOOD = tar({PROOF: b"000001\n", "VOCdevkit/VOC2007/JPEGImages/000001.jpg": bytes(range(256)) * 300})


class Server:
    """Serves one file; `breaks` is how many answers stop half-way."""

    def __init__(self) -> None:
        self.content, self.breaks, self.ranges = GOOD, 0, True
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.asked.append(wanted)
                first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
                if first and first >= len(server.content):
                    self.send_error(416)
                    return
                body = server.content[first:]
                self.send_response(206 if first else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if server.breaks > 0:
                    server.breaks -= 1
                    body = body[: len(body) // 2]
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def archive(self, md5: str | None = None) -> Archive:
        url = f"http://127.0.0.1:{self.http.server_port}/VOCtrainval.tar"
        return Archive(url, md5 or hashlib.md5(self.content).hexdigest(), PROOF)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_fetch_leaves_the_data_set_and_nothing_else(server, tmp_path):
    fetch(tmp_path / "set", [server.archive()])
    assert names(tmp_path) == sorted(f"set/{name}" for name in (PROOF, "VOCdevkit/VOC2007/JPEGImages/000001.jpg"))
    fetch(tmp_path / "set", [server.archive()])
    fetch(tmp_path / "set" / "VOCdevkit", [server.archive()])
    fetch(tmp_path / "set" / "VOCdevkit" / "VOC2007", [server.archive()])
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(server, tmp_path, ranges):
    server.breaks, server.ranges = 1, ranges
    download(server.archive(), tmp_path / "x.tar")
    assert (tmp_path / "x.tar").read_bytes() == GOOD
    assert server.asked == [None, f"bytes={len(GOOD) // 2}-"]
    assert names(tmp_path) == ["x.tar"]


def test_a_later_call_goes_on_with_the_part(server, tmp_path):
    server.breaks = 100
    with pytest.raises(DataError, match="the connection broke after"):
        download(server.archive(), tmp_path / "x.tar")
    assert names(tmp_path) == ["x.tar.part"]
    have = (tmp_path / "x.tar.part").stat().st_size
    server.breaks, server.asked = 0, []
    download(server.archive(), tmp_path / "x.tar")
    assert server.asked == [f"bytes={have}-"]
    assert (tmp_path / "x.tar").read_bytes() == GOOD


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    (tmp_path / "x.tar.part").write_bytes(GOOD)
    download(server.archive(), tmp_path / "x.tar")
    assert (tmp_path / "x.tar").read_bytes() == GOOD


def test_a_wrong_checksum(server, tmp_path):
    with pytest.raises(DataError, match=r"VOCtrainval\.tar: what came has the MD5 sum \w{32}; must be 0{32}"):
        fetch(tmp_path / "set", [server.archive("0" * 32)])
    assert names(tmp_path) == []


def test_a_placed_archive_is_used_and_checked(server, tmp_path):
    (tmp_path / "VOCtrainval.tar").write_bytes(GOOD[:-3])
    with pytest.raises(DataError, match=r"VOCtrainval\.tar: found the MD5 sum"):
        fetch(tmp_path, [server.archive()])
    (tmp_path / "VOCtrainval.tar").write_bytes(GOOD)
    fetch(tmp_path, [server.archive()])
    assert PROOF in names(tmp_path)
    assert server.asked == []


def test_no_network_says_what_to_place_where(tmp_path):
    archive = Archive("http://127.0.0.1:1/VOCtest.tar", "0" * 32, PROOF)
    with pytest.raises(
        DataError, match=r"could not be fetched \(.*\)\. Fetch it elsewhere and place it at .*VOCtest\.tar"
    ):
        fetch(tmp_path / "set", [archive])


@pytest.mark.parametrize(
    "content",
    [
        tar({"../evil": b"x"}),
        tar({"/tmp/evil": b"x"}),
        tar({"VOCdevkit/../../evil": b"x"}),
        tar({}, {"VOCdevkit": "/etc"}),
        tar({PROOF: b"x"}, {"link": "VOCdevkit"}),
    ],
)
def test_a_hostile_archive_writes_nothing(tmp_path, content):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar: found the member '.*'; only files and folders below are allowed"):
        unpack(inner / "x.tar", inner, PROOF)
    assert names(tmp_path) == ["inner/x.tar"]


def test_a_damaged_archive_writes_nothing(tmp_path):
    for content in (GOOD[: len(GOOD) // 2], b"no tar"):
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.tar: damaged"):
            unpack(tmp_path / "x.tar", tmp_path, PROOF)
        assert names(tmp_path) == ["x.tar"]
