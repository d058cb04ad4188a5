"""`overnight report`: one page from the files of a run, whatever strangers wrote into them."""

import base64
import json
import re
import stat
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from PIL import Image

FAKE = ("--provider", "fake", "--retries", "0")
EVIL = "</script><script>document.title='evil'</script><img src=http://x.invalid/ onerror=alert(1)>"


def data_of(page):
    """What the page's script reads."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def report(shell, *words):
    """The page's text and its items by id."""
    done = shell("report", *words)
    assert done.code == 0, done.err
    path = Path(done.out.partition(".html:")[0] + ".html")
    page = path.read_text("utf-8")
    return page, {item["id"]: item for item in data_of(page)["items"]}


def scripted(shell, *replies, name="jobs.jsonl"):
    """A job file whose jobs get these answers, run with the scripted provider."""
    lines = [
        {"id": f"j{n}", "prompt": f"ask {n}", "params": {"reply": reply}}
        for n, reply in enumerate(replies)
    ]
    shell.write(name, *lines)
    assert shell("run", name, *FAKE).code == 0


def test_a_folder_of_images_becomes_a_gallery_beside_its_results(shell):
    shell.picture("photos/a.png")
    shell.picture("photos/in/b c.png")
    shell.write("photos/broken.jpg", "no picture")
    assert shell("run", "photos").code == 1
    page, items = report(shell, "photos")
    assert list(items) == ["a.png", "broken.jpg", "in/b c.png"]
    assert items["in/b c.png"]["src"] == "photos/in/b%20c.png"
    assert items["a.png"]["thumb"].startswith("data:image/webp;base64,")
    assert items["broken.jpg"]["code"] == "image_invalid"
    assert "thumb" not in items["broken.jpg"]
    assert data_of(page)["gallery"]
    assert "2 of 3 answered by offline (measured, no model) in 0." in page
    assert "; 1 failed" in page
    assert "Describe this image." in page
    path = shell.folder / "photos.report.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [name for name in shell.files() if name.endswith(".part")]


def test_answers_to_texts_become_a_table_in_the_order_of_the_source(shell):
    scripted(shell, "one", "two words", "three")
    page, items = report(shell, "jobs.jsonl")
    assert [item["text"] for item in items.values()] == ["one", "two words", "three"]
    assert [item["prompt"] for item in items.values()] == ["ask 0", "ask 1", "ask 2"]
    assert items["j1"]["words"] == 2
    assert not data_of(page)["gallery"]


def test_an_answer_cannot_leave_its_place_in_the_page(shell):
    scripted(shell, EVIL, "]]> <!-- <script> \u2028 &amp;")
    page, items = report(shell, "jobs.jsonl")
    assert items["j0"]["text"] == EVIL
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert "<img src=http" not in page


def test_names_and_prompts_are_escaped_in_the_head(shell):
    shell.write("<b>&.jsonl", {"id": "<i>", "prompt": EVIL, "params": {"failures": ["rejected"]}})
    assert shell("run", "<b>&.jsonl", *FAKE).code == 1
    page, _ = report(shell, "<b>&.jsonl")
    head = page[page.index("<body") : page.index('id="data"')]
    assert "&lt;b&gt;&amp;.jsonl" in head
    for raw in ("<b>&", "<i>", "<img src=http"):
        assert raw not in head


def test_the_policy_allows_our_style_and_script_and_no_address(shell):
    scripted(shell, "one")
    page, _ = report(shell, "jobs.jsonl")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src 'self' data: file:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"\son\w+=|\sstyle=|https?://", page)


def test_failures_are_grouped_with_the_command_that_tries_them_again(shell):
    refusing = {"failures": ["rejected"]}
    passing = {"failures": ["timeout"] * 2}
    shell.write(
        "jobs.jsonl",
        *({"id": f"r{n}", "prompt": f"r{n}", "params": refusing} for n in range(2)),
        {"id": "t", "prompt": "t", "params": passing},
        {"id": "fine", "prompt": "fine"},
    )
    assert shell("run", "jobs.jsonl", *FAKE).code == 1
    page, items = report(shell, "jobs.jsonl")
    assert {name: item.get("code") for name, item in items.items()} == {
        "r0": "rejected",
        "r1": "rejected",
        "t": "timeout",
        "fine": None,
    }
    run = "overnight run jobs.jsonl --provider fake --retries 0"
    assert f"<code>{run} --retry-failed all</code>" in page
    assert f"<code>{run}</code>" in page
    assert page.index('data-only="rejected"') < page.index('data-only="timeout"')


def test_a_job_that_was_answered_since_is_not_shown_as_failed(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert shell("run", "jobs.jsonl", *FAKE).code == 0
    failure = {"code": "timeout", "message": "slow", "http_status": None, "attempts": 1}
    failure |= {"retryable": True, "key": "", "run_id": "", "finished_at": ""}
    shell.write("jobs.failed.jsonl", {"id": "a", "prompt": "x", "failure": failure})
    _, items = report(shell, "jobs.jsonl")
    assert items["a"]["text"] == "echo: x"


def test_answers_that_say_nearly_the_same_are_one_group(shell):
    same = "The image shows a red boat on a calm lake at noon with {} gulls above"
    scripted(shell, same.format("two"), "yes", same.format("five"), "yes", "A dog sleeps on a mat")
    page, items = report(shell, "jobs.jsonl")
    assert [item.get("group", 0) for item in items.values()] == [1, 0, 1, 0, 0]
    assert 'data-begin="The image shows"' in page
    assert "×2</span>" in page


def test_edited_jobs_and_those_that_left_the_source_are_told(shell):
    scripted(shell, "one", "two", "three")
    first, *_ = shell.lines("jobs.jsonl")
    shell.write("jobs.jsonl", {**first, "prompt": "edited"}, {"id": "new", "prompt": "x"})
    page, items = report(shell, "jobs.jsonl")
    assert list(items) == ["j0", "j1", "j2"]
    assert "0 of 2 answered by fake" in page
    assert "1 answer is to a job edited since" in page
    assert "2 answers are to jobs no longer in the source" in page


def test_more_than_two_hundred_images_are_linked_unless_told(shell):
    for n in range(201):
        shell.picture(f"photos/{n}.png")
    assert shell("run", "photos", "-q").code == 0
    _, items = report(shell, "photos")
    assert not any("thumb" in item for item in items.values())
    assert items["7.png"]["src"] == "photos/7.png"
    _, items = report(shell, "photos", "--embed")
    assert all("thumb" in item for item in items.values())


def test_images_that_browsers_do_not_show_are_inside_the_page(shell):
    for n in range(201):
        shell.picture(f"photos/{n}.png")
    Image.new("RGB", (8, 6), "blue").save(shell.folder / "photos/scan.tif")
    assert shell("run", "photos", "-q").code in (0, 1)
    _, items = report(shell, "photos")
    assert "thumb" in items["scan.tif"]


def test_a_photograph_weighs_a_few_kilobytes_and_stands_upright(shell):
    noisy = Image.effect_noise((900, 600), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    (shell.folder / "photos").mkdir()
    noisy.save(shell.folder / "photos/a.jpg", exif=exif)
    assert shell("run", "photos", "-q").code == 0
    _, items = report(shell, "photos")
    thumb = shell.folder / "thumb.webp"
    thumb.write_bytes(base64.b64decode(items["a.jpg"]["thumb"].partition(",")[2]))
    with Image.open(thumb) as small:
        assert small.height > small.width
        assert not small.getexif()
    assert thumb.stat().st_size < 20_000


def test_an_image_outside_the_folder_is_neither_read_nor_linked(shell):
    shell.picture("secret.png")
    (shell.folder / "in").mkdir()
    shell.write(
        "in/jobs.jsonl",
        {"id": "up", "prompt": "x", "image": "../secret.png"},
        {"id": "net", "prompt": "x", "image": "//x.invalid/a.png"},
    )
    shell("run", "in/jobs.jsonl", *FAKE)
    _, items = report(shell, "in/jobs.jsonl")
    assert [item["code"] for item in items.values()] == ["not_allowed"] * 2
    assert not any("src" in item or "thumb" in item for item in items.values())


def test_the_page_can_stand_elsewhere(shell):
    shell.picture("photos/a.png")
    shell("run", "photos")
    (shell.folder / "pages").mkdir()
    _, items = report(shell, "photos", "--out", "pages/one.html")
    assert items["a.png"]["src"] == "../photos/a.png"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--out", "jobs.jsonl"), 2),
        (("--out", "missing/page.html"), 73),
        (("-o", "other.results.jsonl"), 2),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_changes(shell, words, code):
    scripted(shell, "one")
    before = shell.files()
    assert shell("report", "jobs.jsonl", *words).code == code
    assert shell.files() == before


def test_a_run_is_needed_first(shell):
    shell.jobs(1)
    done = shell("report", "jobs.jsonl")
    assert done.code == 2
    assert "run the source first" in done.err


def test_open_shows_the_page_in_the_browser(shell, monkeypatch):
    scripted(shell, "one")
    script = shell.folder / "browser.py"
    script.write_text(f"import sys; open({str(shell.folder / 'told')!r}, 'w').write(sys.argv[1])")
    monkeypatch.setenv("BROWSER", f"{sys.executable} {script} %s")
    done = shell.process("report", "jobs.jsonl", "--open")
    assert done.code == 0, done.err
    assert (shell.folder / "told").read_text() == (shell.folder / "jobs.report.html").as_uri()


def test_cost_is_called_an_estimate(shell):
    shell.write("overnight.toml", "[provider.fake]\nprice = {input = 1000.0, output = 1000.0}")
    scripted(shell, "one two three four")
    page, _ = report(shell, "jobs.jsonl")
    assert re.search(r"\$[\d.]+ \(estimate\)", page)


@pytest.fixture
def thousands(shell):
    """The page of two thousand pictures' answers, one of which is hostile, and thirty failures."""
    shell.picture("a.png")
    texts = [EVIL, *(f"The image shows wave {n} of a calm sea" for n in range(1969))]
    jobs = [{"id": f"p{n}", "params": {"reply": text}} for n, text in enumerate(texts)]
    bad = {"failures": ["rejected"]}
    jobs += [{"id": f"bad{n}", "prompt": f"refuse {n}", "params": bad} for n in range(30)]
    shell.write("jobs.jsonl", *({"prompt": "Describe.", "image": "a.png", **job} for job in jobs))
    assert shell("run", "jobs.jsonl", "-j", "64", *FAKE).code == 1
    assert shell("report", "jobs.jsonl").code == 0
    return shell.folder / "jobs.report.html"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
async def test_in_a_real_browser_two_thousand_answers_can_be_looked_through(thousands):
    count = "document.getElementById('count').textContent"
    items = "document.querySelectorAll('#list .item').length"
    here = "document.activeElement.querySelector('.id')?.textContent"
    async with Browser() as page:
        await page.screen(360, 740, dark=True)
        await page.open(thousands)
        assert await page.value(f"{count}") == "1 to 200 of 2,000"
        assert await page.value(items) == 200
        assert await page.value("document.documentElement.scrollWidth") <= 360
        text = "document.querySelector('#list .text').textContent"
        assert await page.value(text) == EVIL
        assert await page.value("document.querySelector('#list img').alt") == EVIL
        for key, there in (("j", "p0"), ("j", "p1"), ("k", "p0")):
            await page.key(key)
            assert await page.value(here) == there
        await page.key("f")
        assert await page.value(count) == "30 of 2,000 items"
        assert await page.value(items) == 30
        await page.value("document.querySelector('[data-begin]').click()")
        assert (await page.value(count)).startswith("1,969 of 2,000 items (begin “The image shows”")
        await page.value("document.querySelector('[data-only=rejected]').click()")
        assert (await page.value(count)).startswith("30 of 2,000 items (rejected")
        await page.key("f")
        await page.key("f")
        await page.key("/")
        await page.type("WAVE 1968")
        await page.value("new Promise((done) => setTimeout(done))")
        assert await page.value(count) == "1 of 2,000 items"
        await page.key("Escape")
        assert await page.value(items) == 200
        await page.value("document.getElementById('next').click()")
        assert await page.value(count) == "201 to 400 of 2,000"
        await page.key("k")
        await page.key("x")
        assert await page.value("document.querySelectorAll('.marked').length") == 1
        assert await page.value("document.title") == "jobs.jsonl – report"
        assert page.complaints == []
        assert {url.partition(":")[0] for url in page.requests} <= {"file", "data"}
