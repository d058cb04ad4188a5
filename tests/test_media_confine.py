"""A reference names a regular file under the root, or it is refused with the right word."""

import errno
import hashlib
import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from batch.errors import JobError, Rejected, Retryable
from batch.media.load import ImageRules, decode_data_uri, read_file, stat_media
from batch.printable import printable

RULES = ImageRules()
SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----"

OUTSIDE = [
    "",
    "..",
    "../secret",
    "../../secret",
    "../root/x.jpg",
    "./../secret",
    "a/../../secret",
    "a/../x.jpg",
    "a/..",
    "a/b/../../../secret",
    "x.jpg/..",
    "..//secret",
    "a//../../secret",
    "..\\secret",
    "a\\..\\..\\secret",
    "a/..\\secret",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "/",
    "/../etc/passwd",
    "/proc/self/environ",
    "/proc/self/mem",
    "/proc/self/cwd/x.jpg",
    "/proc/self/root/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/dev/tty",
    "~",
    "~/secret",
    "~root/.ssh/id_rsa",
    "~x.jpg",
    "file:///etc/passwd",
    "file:x.jpg",
    "FILE:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.org/x.jpg",
    "HtTpS://example.org/x.jpg",
    "ftp://example.org/x.jpg",
    "gopher://example.org/x",
    "s3://bucket/x.jpg",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "jar:file:///x!/y",
    "git+ssh://host/x",
    "C:con",
    "C:\\windows\\win.ini",
    "c:/windows/win.ini",
    "\\\\host\\share\\x.jpg",
    "\\\\?\\C:\\x.jpg",
    "\\\\.\\pipe\\x",
    "//host/share/x.jpg",
    "x.jpg\0",
    "x.jpg\0.png",
    "\0",
    "a/\0/x.jpg",
    "out/secret",
    "out/../root/x.jpg",
    "secret-link",
    "a/deep-link",
    "chain-1",
    "dangling-out",
    "through/etc/passwd",
    "./out/secret",
    "a/../out/secret",
]


@pytest.fixture
def root(tmp_path):
    """A root with a picture, beside a secret, and links of every kind that lead out of it."""
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "x.jpg").write_bytes(b"picture")
    (root / "a" / "b" / "y.jpg").write_bytes(b"inner")
    (tmp_path / "secret").write_bytes(SECRET)
    (root / "out").symlink_to(tmp_path)
    (root / "secret-link").symlink_to("../secret")
    (root / "a" / "deep-link").symlink_to(tmp_path / "secret")
    (root / "chain-1").symlink_to("chain-2")
    (root / "chain-2").symlink_to("a/deep-link")
    (root / "dangling-out").symlink_to("../nothing")
    (root / "through").symlink_to("/")
    return root


def content(root, reference):
    return read_file(str(root), reference, ImageRules())[0]


def refusal(root, reference, rules=RULES):
    with pytest.raises(JobError) as caught:
        read_file(str(root), reference, rules)
    with pytest.raises(JobError) as again:
        read_file(str(root), reference, rules)
    assert str(again.value) == str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("reference", OUTSIDE)
def test_a_reference_that_leaves_the_root_is_not_allowed(root, reference):
    assert refusal(root, reference).code == "not_allowed"
    with pytest.raises(Rejected) as caught:
        stat_media(str(root), reference)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize(
    "reference", ["x.jpg", "./x.jpg", ".//x.jpg", "a/./b/y.jpg", "a//b/y.jpg", "./a/b/y.jpg"]
)
def test_a_plain_path_under_the_root_is_read(root, reference):
    assert content(root, reference) in (b"picture", b"inner")


def test_an_absolute_path_under_the_root_is_read(root):
    assert content(root, str(root / "x.jpg")) == b"picture"


def test_a_folder_beside_the_root_whose_name_begins_alike_is_outside(root):
    beside = root.parent / "root-2"
    beside.mkdir()
    (beside / "x.jpg").write_bytes(SECRET)
    assert refusal(root, str(beside / "x.jpg")).code == "not_allowed"


def test_links_that_stay_inside_are_followed(root):
    (root / "link.jpg").symlink_to("a/b/y.jpg")
    (root / "folder").symlink_to(root / "a")
    assert content(root, "link.jpg") == b"inner"
    assert content(root, "folder/b/y.jpg") == b"inner"


def test_a_root_that_is_itself_a_link_is_fine(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    assert content(tmp_path / "alias", "x.jpg") == b"picture"
    assert content(tmp_path / "alias", str(root / "x.jpg")) == b"picture"
    assert content(tmp_path / "alias", str(tmp_path / "alias" / "x.jpg")) == b"picture"


def test_an_empty_root_is_the_working_folder(root, monkeypatch):
    monkeypatch.chdir(root)
    assert content("", "x.jpg") == content(".", "x.jpg") == b"picture"
    (root / "link.jpg").symlink_to("x.jpg")
    assert content("", "link.jpg") == b"picture"


def test_the_root_of_the_disk_may_be_the_root(root):
    assert content("/", str(root / "x.jpg")) == b"picture"
    assert content("/", str(root / "x.jpg").lstrip("/")) == b"picture"


def test_names_that_look_like_addresses_are_read_behind_a_dot(root):
    for name in ("photo:1.jpg", "~x.jpg", "...", "..x", "x.."):
        (root / name).write_bytes(name.encode())
        assert content(root, f"./{name}") == name.encode()


def test_a_name_that_is_no_utf8_is_read(root):
    name = b"caf\xe9\xff.jpg"
    Path(os.fsdecode(bytes(root) + b"/" + name)).write_bytes(b"latin")
    data, media = read_file(str(root), os.fsdecode(name), ImageRules())
    assert (data, media.path) == (b"latin", os.fsdecode(name))


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nothing.jpg", errno.ENOENT),
        ("a/nothing/x.jpg", errno.ENOENT),
        ("a", errno.EISDIR),
        ("a/", errno.EISDIR),
        (".", errno.EISDIR),
        ("x.jpg/y", errno.ENOTDIR),
        ("loop", errno.ELOOP),
        ("loop/x.jpg", errno.ENOTDIR),
        ("n" * 300, errno.ENAMETOOLONG),
        ("n/" * 3000, errno.ENAMETOOLONG),
        ("n/" * 4_000_000, errno.ENAMETOOLONG),
    ],
)
def test_what_is_no_readable_file_is_told_with_the_systems_words(root, reference, reason):
    (root / "loop").symlink_to("loop")
    error = refusal(root, reference)
    assert error.code == "image_unreadable"
    assert os.strerror(reason) in str(error)
    assert len(str(error)) < 400


def test_a_name_that_no_file_can_have_is_unreadable(root):
    assert refusal(root, "x\ud800.jpg").code == "image_unreadable"


def test_a_missing_root_makes_every_image_unreadable(tmp_path):
    assert refusal(tmp_path / "gone", "x.jpg").code == "image_unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_unreadable(root):
    (root / "x.jpg").chmod(0)
    error = refusal(root, "x.jpg")
    assert error.code == "image_unreadable"
    assert os.strerror(errno.EACCES) in str(error)


def test_a_fifo_does_not_hang(root):
    os.mkfifo(root / "pipe.jpg")
    assert refusal(root, "pipe.jpg").code == "not_allowed"


def test_a_socket_is_not_allowed(root, monkeypatch):
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock.jpg")
        assert refusal(root, "sock.jpg").code == "not_allowed"


@pytest.mark.parametrize("device", ["zero", "null", "full"])
def test_a_device_is_not_allowed_even_under_the_root(device):
    assert refusal("/dev", device).code == "not_allowed"


def test_no_refusal_leaks_a_file_descriptor(root):
    os.mkfifo(root / "pipe.jpg")
    (root / "link.jpg").symlink_to("x.jpg")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for reference in [*OUTSIDE, "a", "gone", "a/gone", "pipe.jpg", "x.jpg/y", "x.jpg", "link.jpg"]:
        try:
            stat_media(str(root), reference)
            content(root, reference)
        except Rejected:
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_too_many_open_files_is_passing_trouble(root):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(Retryable) as caught:
            read_file(str(root), "x.jpg", ImageRules())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.code == "image_unreadable"
    assert os.strerror(errno.EMFILE) in str(caught.value)


def test_a_folder_swapped_for_a_link_meanwhile_is_never_followed_out(root):
    """A neighbour swaps a folder for a link that leaves, again and again, while we read."""
    (root / "link").symlink_to("a")
    (root.parent / "b").mkdir()
    (root.parent / "b" / "y.jpg").write_bytes(SECRET)
    (root / "evil").symlink_to("..")
    done = threading.Event()

    def swap():
        while not done.is_set():
            (root / "a").rename(root / "moved")
            (root / "evil").rename(root / "a")
            (root / "a").rename(root / "evil")
            (root / "moved").rename(root / "a")

    neighbour = threading.Thread(target=swap)
    neighbour.start()
    seen = set()
    try:
        for _ in range(1500):
            for reference in ("a/b/y.jpg", "link/b/y.jpg"):
                try:
                    seen.add(content(root, reference))
                except Rejected as error:
                    seen.add(error.code)
    finally:
        done.set()
        neighbour.join()
    assert b"inner" in seen
    assert seen <= {b"inner", "not_allowed", "image_unreadable"}


def test_messages_never_carry_what_steers_a_terminal(root):
    for name in ("\x1b[31m\x1b]0;owned\x07.jpg", "a\rb", "a\u202eb", "\x9b31m", "a\nb", "\udcff"):
        assert refusal(root, name).code == "image_unreadable"
        assert printable(name).isprintable()
    assert printable("\x1b[31m") == r"\x1b[31m"
    assert printable("naïve 雪.jpg") == "naïve 雪.jpg"


def test_what_is_read_is_what_is_hashed_and_recorded(root):
    data, media = read_file(str(root), "./x.jpg", ImageRules())
    found = (root / "x.jpg").stat()
    assert data == b"picture"
    assert media.path == "./x.jpg"
    assert media.sha256 == hashlib.sha256(b"picture").hexdigest()
    assert (media.bytes, media.mtime_ns) == (found.st_size, found.st_mtime_ns)
    assert stat_media(str(root), "./x.jpg") == (found.st_size, found.st_mtime_ns)


def test_the_limit_in_bytes_is_exact(root):
    (root / "full.jpg").write_bytes(b"x" * 1000)
    assert content(root, "full.jpg") == b"x" * 1000
    assert len(read_file(str(root), "full.jpg", ImageRules(max_bytes=1000))[0]) == 1000
    assert refusal(root, "full.jpg", ImageRules(max_bytes=999)).code == "image_too_large"


def test_a_file_over_the_limit_is_refused_unread(root):
    with (root / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(root, "huge.jpg").code == "image_too_large"


def test_a_file_that_tells_no_size_is_held_to_the_limit():
    assert stat_media("/proc", "self/status")[0] == 0
    assert b"Name:" in content("/proc", "self/status")
    assert refusal("/proc", "self/status", ImageRules(max_bytes=100)).code == "image_too_large"


def test_a_data_address_is_decoded():
    assert decode_data_uri("data:image/png;base64,aGVsbG8=", ImageRules()) == b"hello"
    assert decode_data_uri("DATA:image/SVG+xml;BASE64,aGVsbG8h", ImageRules()) == b"hello!"


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:image/png,abc",
        "data:image/png;base64",
        "data:text/html;base64,aGVsbG8=",
        "data:;base64,aGVsbG8=",
        "data:image/png;charset=x;base64,aGVsbG8=",
        " data:image/png;base64,aGVsbG8=",
        "data:image/png;base64,aGVsbG8",
        "data:image/png;base64,aGVs bG8=",
        "data:image/png;base64,aGVs\nbG8=",
        "data:image/png;base64,aGV-bG8_",
        "data:image/png;base64,aGVs%62G8=",
        "data:image/png;base64,aGVsbGé=",
        "data:image/png;base64,=",
        "data:image/png;base64,a===",
        "http://example.org/x.png",
        "",
    ],
)
def test_any_other_address_or_broken_base64_is_invalid(uri):
    with pytest.raises(Rejected) as caught:
        decode_data_uri(uri, ImageRules())
    assert caught.value.code == "image_invalid"


def test_a_data_address_is_held_to_the_limit_before_it_is_decoded():
    head = "data:image/png;base64,"
    assert decode_data_uri(head + "aGVsbG8=", ImageRules(max_bytes=5)) == b"hello"
    with pytest.raises(Rejected) as caught:
        decode_data_uri(head + "!" * 4_000, ImageRules(max_bytes=2_000))
    assert caught.value.code == "image_too_large"
