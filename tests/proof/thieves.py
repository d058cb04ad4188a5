"""What a thief would write where a job names an image: ways out of the folder, and addresses."""

PORT = "{port}"
OUTSIDE = "{outside}"
"""The folder beside the root that holds what is to be stolen, as an absolute path."""

PATHS = [
    *("../outside/s.png", "../../s.png", "a/../../outside/s.png", "./../outside/s.png"),
    *("a/b/../../../outside/s.png", "..", "../", ".", "./", "/", "//", "a", "a/..", "in.png/.."),
    *("..//outside//s.png", "a//../../outside/s.png", "in.png/../../outside/s.png"),
    *(f"{OUTSIDE}/s.png", f"/{OUTSIDE}/s.png", f"//{OUTSIDE}/s.png", f"/.{OUTSIDE}/s.png"),
    *(f"file://{OUTSIDE}/s.png", f"file:{OUTSIDE}/s.png", f"FILE://localhost{OUTSIDE}/s.png"),
    *("~", "~/s.png", "~root/s.png", "~+/../outside/s.png", "~/../outside/s.png"),
    *("$HOME/s.png", "${HOME}/s.png", "%HOME%/s.png", "`echo s.png`", "$(echo s.png)"),
    *(r"..\outside\s.png", r"a\..\..\outside\s.png", r"\\host\share\s.png", r"\\?\C:\s.png"),
    *(r"C:\s.png", "C:s.png", "c:/s.png", "C:con", "con", "NUL", "aux.png", "\\\\.\\pipe\\x"),
    *("//host/share/s.png", "smb://host/s.png", "s.png::$DATA", "../outside/s.png\0", "\0"),
    *(
        "../outside/s.png\0.png",
        "in.png\0/../../outside/s.png",
    ),
    *("%2e%2e/outside/s.png", "..%2foutside%2fs.png", "%2e%2e%2foutside%2fs.png"),
    *("..%c0%afoutside/s.png", "..%255c..%255cs.png", "%00", "..;/outside/s.png", "....//s.png"),
    *("\u2024\u2024/outside/s.png", "..\u2215outside\u2215s.png", "．．/outside/s.png"),
    *("..\uff0foutside\uff0fs.png", "..\u29f8outside", "\u202e../outside/s.png", "\ufeff../s.png"),
    *(".. /outside/s.png", "../outside/s.png ", "../outside/s.png.", " ../outside/s.png", "..."),
    *("../outside/s.png\n", "../outside/s.png#.png", "../outside/s.png?.png", "a/.../s.png"),
    *("out", "out/s.png", "out/../outside/s.png", "stolen.png", "a/deep.png", "a/b/deeper/s.png"),
    *(
        "chain.png",
        "loop.png",
        "root/etc/passwd",
        "up/outside/s.png",
        "a/rel.png",
        "self/out/s.png",
    ),
    *("cwd/outside/s.png", "fd.png", "pipe.png", "zero.png", "socket.png", "text.png", "key.jpg"),
    *("/proc/self/environ", "/proc/self/cmdline", "/proc/self/mem", "/proc/self/fd/0"),
    *("/proc/self/root/etc/passwd", "/proc/self/cwd/in.png", "/proc/1/environ", "/dev/stdin"),
    *("/dev/zero", "/dev/random", "/dev/tty", "/dev/fd/0", "/etc/passwd", "/etc/shadow"),
    *(
        "/sys/kernel/notes",
        "/run/secrets/key",
        "a" * 5000,
        "a/" * 2500,
        "../" * 1500 + "etc/passwd",
    ),
    *("", " ", "\t", "{{x}}", "*.png", "[a-z]*.png", "@in.png", "-", "--help", "|cat", "in.png;id"),
]

HOSTS = [
    *("169.254.169.254", "169.254.169.254:80", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "169.254.43518"),
    *("metadata.google.internal", "169.254.169.254.nip.io", "100.100.100.200", "192.0.0.192"),
    *(f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"127.1:{PORT}", f"0:{PORT}"),
    *(f"0.0.0.0:{PORT}", f"2130706433:{PORT}", f"0x7f000001:{PORT}", f"0177.0.0.1:{PORT}"),
    *(f"[::1]:{PORT}", f"[::ffff:127.0.0.1]:{PORT}", f"[::]:{PORT}", f"127.0.0.1.nip.io:{PORT}"),
    *(f"localtest.me:{PORT}", f"a.localhost:{PORT}", f"①②⑦.⓪.⓪.①:{PORT}", f"127。0。0。1:{PORT}"),
    *(f"example.org@127.0.0.1:{PORT}", f"127.0.0.1:{PORT}@example.org", f"localhost.:{PORT}"),
    *(f"127.0.0.1:{PORT}#@example.org", f"example.org\\@127.0.0.1:{PORT}", f"spoofed.burp:{PORT}"),
    *("7f000001.c0a80001.rbndr.us", "10.0.0.1", "192.168.0.1", "example.org", "[fe80::1%25lo]"),
]
SCHEMES = ["http://", "https://", "HTTP://", "hTTps://", "ftp://", "gopher://", "dict://", "//"]
ODD = [
    *(f"http:127.0.0.1:{PORT}/s", f"http:/127.0.0.1:{PORT}/s", f"http:\\\\127.0.0.1:{PORT}\\s"),
    *(
        f"\thttp://127.0.0.1:{PORT}/s",
        f" http://127.0.0.1:{PORT}/s",
        f"jar:http://127.0.0.1:{PORT}",
    ),
    *(f"url:http://127.0.0.1:{PORT}", f"view-source:http://127.0.0.1:{PORT}", "ws://127.0.0.1/s"),
    *("data:text/plain;base64,U0VDUkVU", "data:text/html,<script>", "data:,SECRET", "data:"),
    *("data:image/png;base64,U0VDUkVU", "DATA:image/png;base64,AAAA", "data:image/svg+xml,<svg/>"),
    *(
        "s3://bucket/s",
        "gs://bucket/s",
        "ldap://127.0.0.1",
        "tftp://127.0.0.1/s",
        "blob:x",
        "cid:x",
    ),
    *(
        "javascript:alert(1)",
        "php://filter/resource=s",
        "expect://id",
        "git+ssh://host/s",
        "about:x",
    ),
]
ADDRESSES = [
    *(f"{SCHEMES[at % 4]}{host}/s.png" for at, host in enumerate(HOSTS)),
    *(f"{scheme}169.254.169.254/latest/meta-data/" for scheme in SCHEMES),
    *ODD,
]


def filled(texts, port, outside):
    """The corpus for one server and one folder."""
    return [text.replace(PORT, str(port)).replace(OUTSIDE, str(outside)) for text in texts]


def as_jobs(reference):
    """Every place of a job line that could name an image, or a thing for a server to fetch."""
    text = {"type": "text", "text": "look"}
    part = {"type": "image_url", "image_url": {"url": reference, "detail": "low"}}
    bare = {"type": "image_url", "image_url": reference}
    told = [
        {"prompt": "look", "image": reference},
        {"prompt": "look", "images": ["in.png", reference]},
        {"messages": [{"role": "user", "content": [text, part]}]},
        {"messages": [{"role": "user", "content": [bare, text]}], "image": "in.png"},
    ]
    bodies = [
        part,
        bare,
        {"type": "video_url", "video_url": {"url": reference}},
        {"type": "input_image", "image_url": reference},
        {"type": "image", "source": {"type": "url", "url": reference}},
    ]
    for each in bodies:
        if not reference.startswith("data:") or each in (part, bare):
            body = {"model": "m", "messages": [{"role": "user", "content": [text, each]}]}
            told.append({"method": "POST", "url": "/v1/chat/completions", "body": body})
    return told
