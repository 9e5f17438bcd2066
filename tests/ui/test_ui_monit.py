"""What a person does on the screen of ``pypm monit``, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_source import FakeLog, FakeSource, company, no_master
from scripted_master import make_row
from watched import Watched

from pypm.core.errors import RequestError
from pypm.tui.log_buffer import LogLine

Play = Callable[..., FakeSource]


def test_the_first_frame_has_the_instances_and_the_log_of_the_first(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("8 instances: 1 errored, 1 stalled", "research", "· errored", "stalled")
        await screen.sees("step 30: asked the model")
        assert screen.current == "model"

    play(scene)


def test_another_instance_has_another_log(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        screen.source.logs[1]._lines[:] = [LogLine("I am research")]
        await screen.press("down")
        assert screen.current == "research"
        await screen.sees("I am research")
        await screen.press("end")
        assert screen.current == "planner"
        await screen.press("down", "home", "j")
        assert screen.current == "research"

    play(scene)


def test_what_is_typed_filters_and_escape_ends_it(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("/", *"tools", "enter")
        await screen.sees("/tools (2)")
        assert "research" not in screen.text
        assert screen.current == "tools:0"
        await screen.press("escape")
        await screen.sees("research")
        assert screen.current == "tools:0"

    play(scene)


def test_sorting_keeps_the_current_instance(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("down", "o", "o")
        await screen.sees("status▲")
        assert screen.current == "research"
        first = next(line for line in screen.lines if "leaky" in line or "model" in line)
        assert "leaky" in first
        await screen.press("O")
        await screen.sees("status▼")

    play(scene)


def test_groups_are_headings_that_are_passed_over(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("g", "home")
        await screen.sees("▾ jobs: 1 stopped", "▾ serving: 1 online")
        names = []
        for _ in range(9):
            names.append(screen.current)
            await screen.press("down")
        assert names[:2] == ["research", "tools:0"]
        assert names[6:] == ["nightly", "model", "model"]

    play(scene)


@pytest.mark.parametrize(("key", "method"), [("s", "start"), ("r", "restart"), ("R", "reload")])
def test_what_harms_nobody_is_done_at_once(play: Play, key: str, method: str) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("down", key)
        await screen.until(lambda: screen.source.orders, "the order")

    assert play(scene).orders == [(method, {"targets": ["1"]})]


@pytest.mark.parametrize(("key", "method"), [("x", "stop"), ("D", "delete"), ("f", "flush")])
def test_what_hurts_is_done_after_a_yes_only(play: Play, key: str, method: str) -> None:
    async def scene(screen: Watched) -> None:
        for no in ("n", "escape", "enter", "q"):
            await screen.press(key)
            await screen.sees("y yes")
            await screen.press(no)
            await screen.sees_no_more("y yes")
        assert screen.source.orders == []
        await screen.press(key)
        await screen.sees("y yes")
        await screen.press("y")
        await screen.until(lambda: screen.source.orders, "the order")

    assert play(scene).orders == [(method, {"targets": ["0"]})]


def test_marked_instances_get_the_order_together(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("space", "down", "space")
        await screen.sees("2 marked", "✓ model", "✓ tools:0")
        await screen.press("r")
        await screen.sees("Restart model and tools:0?")
        await screen.press("y")
        await screen.sees("restarted: 2 instances")
        await screen.press("escape")
        await screen.sees_no_more("2 marked")

    assert play(scene).orders == [("restart", {"targets": ["0", "2"]})]


def test_all_that_is_shown_is_marked(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("/", *"tools", "enter", "a")
        await screen.sees("2 marked")
        await screen.press("a")
        await screen.sees_no_more("marked")

    play(scene)


def test_a_signal_and_a_number_are_typed(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("down", "!", *"hup", "enter")
        await screen.until(lambda: len(screen.source.orders) == 1, "the signal")
        await screen.press("down", "c")
        await screen.sees("There are 2.")
        await screen.press(*"+3", "enter")
        await screen.until(lambda: len(screen.source.orders) == 2, "the scaling")
        await screen.press("c", *"1", "enter")
        await screen.sees("Stop and delete 1 of the 2")
        await screen.press("n", "!", *"nonsense", "enter")
        await screen.sees("there is no signal")

    assert play(scene).orders == [
        ("signal", {"targets": ["1"], "signal": 1}),
        ("scale", {"app": "tools", "instances": 5}),
    ]


def test_a_refusal_is_told(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        screen.source.refusal = RequestError("the master is [b]ending[/b]")
        await screen.press("s")
        await screen.sees("the master is [b]ending[/b]")

    play(scene, size=(100, 30))


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("2", ("model is online", "because  it was started", "python model.py")),
        ("3", ("10:02  run.ended", "10:01  run.began")),
        ("4", ("cpu, the last", "memory, the last", "tokens        1250")),
        ("5", ("now, for 1m 5s: pid 1000", "exit code 1")),
    ],
)
def test_each_tab_tells_its_part(play: Play, key: str, texts: tuple[str, ...]) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press(key)
        await screen.sees(*texts)
        await screen.press("1")
        await screen.sees("step 30")

    play(scene, size=(120, 50))


def test_the_tabs_are_beside_each_other(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        tabs = []
        for _ in range(6):
            tabs.append(screen.app.side.tab)
            await screen.press("right")
        assert tabs == ["log", "why", "events", "metrics", "runs", "log"]
        await screen.press("left", "left")
        assert screen.app.side.tab == "runs"

    play(scene)


def test_the_log_is_that_of_whoever_has_the_id_now(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("step 30")
        screen.source.logs[0] = FakeLog([LogLine("words of another one")])
        screen.source.answer = [{**screen.source.answer[0], "name": "other", "app": "other"}]
        await screen.sees("words of another one")
        await screen.sees_no_more("step 30")

    play(scene)


def test_the_log_follows_pauses_and_goes_on(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("following")
        screen.source.logs[0].came = [LogLine("first news")]
        await screen.sees("first news")
        await screen.press("p")
        screen.source.logs[0].came = [LogLine("second news")]
        await screen.sees("paused, 1 new")
        assert "second news" not in screen.text
        await screen.press("p")
        await screen.sees("second news", "following")

    play(scene)


def test_who_scrolls_up_is_not_pulled_down(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("tab", "home")
        await screen.sees("step 1: asked")
        screen.source.logs[0].came = [LogLine("news")]
        await screen.until(lambda: len(screen.app.side.log_pane.buffer.lines) == 34, "the news")
        await screen.sees("step 1: asked")
        assert "following" not in screen.text
        await screen.press("end")
        await screen.sees("news", "following")

    play(scene)


def test_failures_are_found_and_shown_alone(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        assert "Traceback" not in screen.text
        await screen.press("e")
        await screen.sees("Traceback (most recent call last)")
        await screen.press("v")
        await screen.sees("errors only", "TimeoutError: no answer")
        assert "step" not in screen.text.split("errors only")[1].replace("in step", "")
        await screen.press("v")
        await screen.sees("step 30")

    play(scene)


def test_a_search_marks_and_goes_from_match_to_match(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("ctrl+f", *"step 1", "enter")
        await screen.sees("“step 1”", "step 19")
        await screen.press("n")
        assert screen.app.side.log_pane._current == 17
        await screen.press("N")
        assert screen.app.side.log_pane._current == 18
        await screen.press("ctrl+f", *"zzz", "enter")
        await screen.sees("that is not in these lines")

    play(scene)


def test_long_lines_are_cut_or_wrapped(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        screen.source.logs[0].came = [LogLine("x" * 150 + "THE END")]
        await screen.sees("xxxx")
        assert "THE END" not in screen.text
        await screen.press("w")
        await screen.sees("THE END", "wrapped")
        await screen.press("w")
        await screen.sees_no_more("THE END")

    play(scene)


def test_text_of_others_is_no_markup_anywhere(play: Play) -> None:
    evil = "[@click=app.quit]\x1b[2J[/][bold"
    rows = [make_row(0, f"a{evil}", namespace=evil, status="online", reason=evil)]

    async def scene(screen: Watched) -> None:
        screen.source.logs[0].came = [LogLine("[red]not red[/red] [/nonsense")]
        await screen.sees("a[@click=app.quit]^[[2J[/][bold", "[red]not red[/red] [/nonsense")
        await screen.press("g", "2", "3", "5", "x")
        await screen.sees("Stop a[@click=app.quit]^[[2J[/][bold?")
        await screen.press("y")
        await screen.until(lambda: screen.source.orders, "the order")

    play(scene, rows, size=(150, 30))


def test_the_screen_outlives_its_master(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        rows = screen.source.answer
        screen.source.answer = no_master()
        await screen.sees("no master; what is shown is old")
        assert "research" in screen.text
        screen.source.answer = rows
        await screen.sees_no_more("no master")
        await screen.sees("the master answers again")

    play(scene)


def test_without_a_master_it_says_how_to_begin(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("no master: `pypm start …` starts one")
        screen.source.answer = company()
        await screen.sees("8 instances", "step 30")

    play(scene, lost=no_master())


def test_an_instance_that_goes_leaves_the_next_one(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("down", "down", "space")
        screen.source.answer = [row for row in company() if row["id"] != 3]
        await screen.until(lambda: 3 not in screen.app.board.rows, "that it is gone")
        await screen.until(lambda: screen.current == "leaky", "the next one")
        screen.source.answer = []
        await screen.sees("no apps yet", "no instance")

    play(scene)


@pytest.mark.parametrize("size", [(200, 50), (80, 24), (60, 15), (30, 8)])
def test_it_works_in_every_size(play: Play, size: tuple[int, int]) -> None:
    async def scene(screen: Watched) -> None:
        for keys in ("2", "4", "enter", "enter", "z", "z", "z", "o", "g", "w"):
            await screen.press(keys)
        assert all(len(line) <= size[0] for line in screen.lines)
        await screen.pilot.resize_terminal(100, 30)
        await screen.sees("8 instances", "research")

    play(scene, size=size)


def test_the_details_alone_and_back(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("enter")
        await screen.sees_no_more("research")
        await screen.sees("step 20", "step 30")
        await screen.press("escape")
        await screen.sees("research")

    play(scene)


def test_help_and_palette_know_the_keys(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("?")
        await screen.sees("group by namespace", "delete")
        await screen.press("escape")
        await screen.sees_no_more("group by namespace")
        await screen.press("ctrl+p", *"restart")
        await screen.sees("Restart them")
        await screen.press("enter")
        await screen.until(lambda: screen.source.orders, "the order")

    assert play(scene, size=(100, 50)).orders == [("restart", {"targets": ["0"]})]


def test_the_palette_has_nothing_that_the_screen_is_not_laid_out_for(play: Play) -> None:
    """Textual's list of keys would lie over half of it, and stay there."""

    async def scene(screen: Watched) -> None:
        titles = [command.title for command in screen.app.get_system_commands(screen.app.screen)]
        assert {"Help", "Quit", "Theme", "Screenshot", "Scale", "End everything"} < set(titles)
        assert not {"Keys", "Maximize", "Minimize"} & set(titles)
        assert len(set(titles)) == len(titles)
        await screen.press("ctrl+p", *"help", "enter")
        await screen.sees("group by namespace")

    play(scene)


def test_the_mouse_selects_marks_sorts_and_opens(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        table = "#table"
        await screen.pilot.click(table, offset=(5, 3))
        await screen.until(lambda: screen.current == "tools:0", "the click")
        await screen.pilot.click(table, offset=(0, 4))
        await screen.sees("✓ tools:1")
        await screen.pilot.click(table, offset=(14, 0))
        await screen.sees("status▲")
        bar = next(line for line in screen.lines if "2 why" in line)
        await screen.pilot.click("#tabs", offset=(bar.index("2 why") + 1, 0))
        await screen.until(lambda: screen.app.side.tab == "why", "the tab")

    play(scene)


def test_themes_change_and_no_colour_has_none(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(screen: Watched) -> None:
        before = screen.app.theme
        await screen.press("t")
        assert screen.app.theme != before

    play(scene)
    monkeypatch.setenv("NO_COLOR", "1")

    async def colourless(screen: Watched) -> None:
        await screen.press("down")
        row = next(y for y, line in enumerate(screen.lines) if "research" in line)
        strips = screen.app.screen._compositor.render_strips()
        shown: list[Any] = list(strips[row])
        for each in screen.app.get_line_filters():
            shown = each.apply(shown, screen.app.screen.background_colors[1])
        styles = [segment.style for segment in shown if segment.style]
        assert all(style.color is None or style.color.is_default for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)
        assert any(style.reverse for style in styles)

    play(colourless)


def test_a_thousand_instances_are_walked_through(play: Play) -> None:
    rows = [make_row(number, f"agent:{number}", namespace=f"team-{number % 7}") for number in range(1000)]

    async def scene(screen: Watched) -> None:
        await screen.sees("1000 instances: 1000 online")
        await screen.press("end")
        assert screen.current == "agent:999"
        await screen.press("pageup", "/", *"agent:5 team-3", "enter")
        await screen.sees("/agent:5 team-3")
        await screen.press("g", "o", "o", "escape", "home")
        assert screen.current.startswith("agent:")

    play(scene, rows)
