"""What the guardian does: start the master, watch it, hold for it, reap for it, replace it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from pypm.guardian.child import DUMP_SIGNAL, Child, start_child
from pypm.guardian.holdings import Holdings
from pypm.guardian.journal import Journal
from pypm.guardian.pace import Pace
from pypm.guardian.renewal import SIGNALS, Inheritance, Renewal, execute
from pypm.system.home import Home
from pypm.system.sockets import receive_message, send_message
from pypm.system.subreaper import become_subreaper
from pypm.system.supervised import notify, watchdog_interval

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

__all__ = ["REFUSED", "Guardian"]

REFUSED = 78
"""Exit code of a master that cannot begin for a reason that another one would find too.

It is final if no master has served yet. After that there may be agents, and what is held for them is kept
until a master can begin."""

DUMP_TIME = 0.5
"""Seconds that a hanging master gets to write its stacks."""
HANDING_TIME = 10.0
"""Seconds that a master may take to receive what is held."""
UPDATE_TIME = 60.0
"""Seconds within which a candidate has to be in charge."""
EXITS_IN_MESSAGE = 1000
STOOD_STILL = 1.0
"""Seconds by which a wait was too long when we have been stopped ourselves, and perhaps the master too."""
KEPT_EXITS = 100_000
"""How many ends are remembered for a master that does not come."""


class Guardian:
    """Guards one master of one home."""

    def __init__(
        self,
        home: Home,
        holdings: Holdings,
        *,
        served: bool = False,
        inheritance: Inheritance | None = None,
    ) -> None:
        """``served``: a master has been in charge of this home before, whose agents may live.

        ``inheritance`` is of the guardian's program that was executed before in this process.
        """
        self._home = home
        self._holdings = holdings
        self._journal = Journal(home.master_log)
        self._exits: dict[int, tuple[int, float]] = {}
        """Wait status and time (boot clock) of processes that ended, until a master has acknowledged them."""
        self._untold: dict[int, None] = {}
        """Those of them that the present master has not been told."""
        self._master: Child | None = None
        self._candidate: Child | None = None
        """A master of newer code that is to take over from the present one."""
        self._retired: set[int] = set()
        """Pids of masters that others have taken over from."""
        self._update_trouble = ""
        """Why the candidate was killed."""
        self._served = served
        self._end_signal: int | None = None
        """With what somebody has told us to end."""
        self._told_to_end: Child | None = None
        """The master to which that was passed on."""
        self._reload_asked = False
        self._pace = Pace()
        self._start_at: float | None = 0.0
        self._result: int | None = None
        self._sign_interval = watchdog_interval()
        """Seconds between two signs of life for the service manager; None: it asks for none."""
        self._sign_at = float("inf") if self._sign_interval is None else 0.0
        self._renewal = Renewal(self._journal)
        if inheritance is not None:
            self._inherit(inheritance)

    def run(self) -> int:
        """Guard until the master has been told to end and has ended; gives the exit status."""
        become_subreaper()
        wakeup, wakeup_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._take_signal)
        signal.signal(signal.SIGUSR2, self._take_request)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A master that became us has blocked them for the time of the exec, so that none is lost.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._reap()  # what ended before this program was executed in the place of a master
        while self._result is None:
            self._act()
            self._wait(wakeup)
        return self._result

    # --- waiting ---

    def _children(self) -> list[Child]:
        return [child for child in (self._master, self._candidate) if child is not None]

    def _wait(self, wakeup: int) -> None:
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        connected = {
            child.connection.fileno(): child for child in self._children() if child.connection is not None
        }
        listener = self._listener()
        for descriptor, child in connected.items():
            is_awaited = bool(self._untold) and child is listener
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if is_awaited else 0))
        patience, asked = self._patience(), time.monotonic()
        happened = poll.poll(patience * 1000)
        self._forgive(time.monotonic() - asked, patience)
        for descriptor, events in happened:
            if descriptor == wakeup:
                os.read(wakeup, 4096)
            elif events != select.POLLOUT:
                self._receive(connected[descriptor])
        self._reap()
        self._tell_ends()

    def _forgive(self, waited: float, patience: float) -> None:
        """After a wait that was far too long (SIGSTOP, a frozen container) no child is to blame for it."""
        if waited > patience + STOOD_STILL:
            self._journal.write(f"stood still for about {waited:.0f} s")
            for child in self._children():
                child.forgive(waited)

    def _patience(self) -> float:
        """Seconds until something is due, at most an hour."""
        due = [self._sign_at]
        due += [self._start_at] if self._start_at is not None else []
        due += [
            child.due() if child.dumping_since is None else child.dumping_since + DUMP_TIME
            for child in self._children()
        ]
        if self._candidate is not None and not self._candidate.killed:
            due.append(self._candidate.began + UPDATE_TIME)
        return min(max(0.0, min(due, default=3600.0) - time.monotonic()), 3600.0)

    def _act(self) -> None:
        """Do what is due: start a master, end one that hangs, give up an update."""
        now = time.monotonic()
        if self._sign_interval is not None and now >= self._sign_at:
            self._sign_at = now + self._sign_interval
            notify("WATCHDOG=1")
        if self._end_signal is not None:
            self._pass_end_on(self._end_signal)
        if self._reload_asked:
            self._pass_request_on()
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._start()
        candidate = self._candidate
        if candidate is not None and not candidate.killed and now >= candidate.began + UPDATE_TIME:
            self._update_trouble = f"the new master was not in charge within {UPDATE_TIME:g} s"
            candidate.killed = True
            candidate.send_signal(signal.SIGKILL)
        self._end_hanging(now)
        if self._renewal.is_due and self._is_quiet():
            self._renew()

    def _end_hanging(self, now: float) -> None:
        """A master that does not answer writes its stacks, and is killed."""
        for child in self._children():
            if child.dumping_since is not None and now >= child.dumping_since + DUMP_TIME:
                self._journal.write(f"killing the master {child.pid}")
                child.dumping_since, child.killed = None, True
                child.send_signal(signal.SIGKILL)
            elif child.dumping_since is None and now >= child.due():
                self._journal.write(f"the master {child.pid} does not answer: its stacks, then its end")
                child.dumping_since = now
                if child.greeted:
                    child.send_signal(DUMP_SIGNAL)

    # --- masters ---

    def _start(self) -> None:
        try:
            with self._journal.open() as log:
                self._master = start_child(self._home, log.fileno())
        except OSError as error:
            self._journal.write(f"cannot start a master: {error}")
            self._plan_next(0.0, serving=False)

    def _ended(self, child: Child, status: int) -> None:
        """A master has ended: for good if it says so, else another one follows."""
        while child.connection is not None and self._receive(child):
            pass
        child.disconnect()
        code = os.waitstatus_to_exitcode(status)
        words = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if child is self._candidate:
            self._give_up_update(self._update_trouble or f"the new master {words}")
            return
        self._master = None
        if child.ending or code == 0 or (code == REFUSED and not self._served):
            self._end(0 if child.ending else code)
            return
        self._journal.write(f"the master {child.pid} {words}")
        if self._candidate is not None:
            self._hand_over()
        elif child.serving and code == -signal.SIGKILL:
            self._start_at = time.monotonic() + self._pace.after_kill(time.monotonic() - child.began)
        else:
            self._plan_next(time.monotonic() - child.began, serving=child.serving)

    def _plan_next(self, lived: float, *, serving: bool) -> None:
        """At once after a master that worked; later and later after those that did not."""
        if self._end_signal is not None and not serving:
            self._journal.write("told to end, and no master can begin: agents are left as they are")
            self._end(1)
            return
        delay = self._pace.after_end(lived)
        if delay:
            self._journal.write(
                f"{self._pace.failures} masters ended soon; the next one starts in {delay:g} s"
            )
        self._start_at = time.monotonic() + delay

    def _end(self, result: int) -> None:
        """Let ``run`` return; a newer master that was on its way has nothing to take over."""
        self._result = result
        if self._candidate is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended too, and is reaped
                self._candidate.send_signal(signal.SIGKILL)

    def _take_signal(self, number: int, _: object) -> None:
        """Somebody ends the guardian; in a signal's handler nothing more than that can be noted."""
        self._end_signal = number

    def _take_request(self, _number: int, _: object) -> None:
        """Somebody who has moved log files asks the wrong one to open them anew."""
        self._reload_asked = True

    def _pass_request_on(self) -> None:
        """A master that begins opens its logs anyway, and might not have a handler for the signal yet."""
        self._reload_asked = False
        master = self._master
        if master is not None and master.serving and not master.standing_by:
            master.send_signal(signal.SIGUSR2)

    def _pass_end_on(self, number: int) -> None:
        """To end is the master's to do, agents included; one that only begins could not yet."""
        master = self._master
        if master is None:
            if self._candidate is None:
                self._start_at = 0.0
        elif master.serving and not master.standing_by and master is not self._told_to_end:
            if self._told_to_end is None:
                notify("STOPPING=1")
            self._told_to_end = master
            master.send_signal(number)

    # --- an update ---

    def _update(self, master: Child) -> None:
        """Start a master of the code that is installed now; it greets when it could be loaded."""
        if self._candidate is not None:
            self._tell(master, "resume", "an update is under way already")
            return
        try:
            with self._journal.open() as log:
                self._candidate = start_child(self._home, log.fileno())
        except OSError as error:
            self._tell(master, "resume", f"cannot start the new master: {error}")

    def _hand_over(self) -> None:
        """Give a candidate that has greeted what the old master had."""
        candidate = self._candidate
        if candidate is not None and candidate.greeted:
            self._introduce(candidate)

    def _take_over(self, candidate: Child) -> None:
        """The candidate serves: it is the master now."""
        old, self._master, self._candidate = self._master, candidate, None
        self._update_trouble = ""
        self._pace.begin_anew()
        self._journal.write(f"the master {candidate.pid} has taken over")
        if old is not None:
            self._retired.add(old.pid)
            self._tell(old, "leave")
            old.disconnect()
        self._renewal.look()

    def _give_up_update(self, reason: str) -> None:
        """The candidate is dead and changes nothing any more: the old master goes on."""
        candidate, self._candidate = self._candidate, None
        assert candidate is not None
        self._update_trouble = ""
        self._journal.write(f"the update failed: {reason}")
        candidate.disconnect()
        if self._master is None:
            self._plan_next(0.0, serving=False)
            return
        self._master.standing_by = False
        self._master.last_beat = time.monotonic()
        self._tell(self._master, "resume", reason)
        # It was told of none while it stood by, and may have passed over the last ones before that.
        self._untold = dict.fromkeys(self._exits)

    # --- the guardian's own program ---

    def _is_quiet(self) -> bool:
        """Nothing is under way that only this program knows of."""
        master = self._master
        if master is None or master.connection is None or self._candidate is not None:
            return False
        is_well = master.serving and not master.standing_by and master.dumping_since is None
        return is_well and not master.killed and self._end_signal is None and self._result is None

    def _renew(self) -> None:
        """Execute the guardian's new program in place of this one, with all that is held and known."""
        assert self._master is not None
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if self._end_signal is not None:  # it has just come
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        left = Inheritance(self._holdings, self._master)
        left.exits, left.untold, left.retired = self._exits, self._untold, self._retired
        file = left.leave()
        left.make_inheritable(True)
        try:
            execute(self._home.path, file)
        except OSError as error:
            left.make_inheritable(False)
            os.close(file)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._renewal.failed(error)

    def _inherit(self, left: Inheritance) -> None:
        """Go on where the program before has stopped."""
        self._master, self._served, self._start_at = left.master, True, None
        self._exits, self._untold, self._retired = left.exits, left.untold, left.retired
        self._journal.write("the guardian goes on with its new program")

    # --- messages ---

    def _receive(self, child: Child) -> bool:
        """Take one message; False if there is none."""
        if child.connection is None:
            return False
        try:
            words, descriptors = receive_message(child.connection)
        except BlockingIOError:
            return False
        except (EOFError, OSError):
            child.disconnect()
            return False
        child.last_beat = time.monotonic()
        if child.dumping_since is not None:
            child.dumping_since = None
            self._journal.write(f"the master {child.pid} answers again")
        self._take(child, words, descriptors)
        return True

    def _take(self, child: Child, words: list[str], descriptors: list[int]) -> None:
        match words:
            case ["hold", *names]:
                for name, descriptor in zip(names, descriptors, strict=False):
                    self._holdings.add(name, descriptor)
                # The kernel leaves out those for which we have no room.
                if missing := names[len(descriptors) :]:
                    self._journal.write(f"no open files left to hold {', '.join(missing)}")
            case ["drop", *names]:
                self._holdings.drop(names)
            case ["seen", *pids]:
                for pid in pids:
                    self._exits.pop(int(pid), None)
                    self._untold.pop(int(pid), None)
            case [word]:
                self._take_word(child, word)

    def _take_word(self, child: Child, word: str) -> None:
        match word:
            case "hello":
                self._greeted(child)
            case "update":
                self._update(child)
            case "standing_by":
                child.standing_by = True
                self._hand_over()
            case "ending":
                child.ending = True
            case "serving":
                child.serving = self._served = True
                if child is self._candidate:
                    self._take_over(child)

    def _greeted(self, child: Child) -> None:
        child.greeted = True
        if child is self._candidate and self._master is not None:
            self._tell(self._master, "stand_by")
        else:
            self._introduce(child)

    def _introduce(self, child: Child) -> None:
        """Hand everything to a master that has greeted."""
        if child.connection is None:
            return
        child.connection.settimeout(HANDING_TIME)
        try:
            self._holdings.send_to(child.connection)
            self._untold = dict.fromkeys(self._exits)
            self._send_untold(child.connection)
            others = {each.pid for each in self._children() if each is not child} | self._retired
            send_message(child.connection, ["masters", *map(str, others)])
            send_message(child.connection, ["ready"])
        except OSError as error:
            self._journal.write(f"cannot hand over to the master {child.pid}: {error}")
        finally:
            child.connection.setblocking(False)

    def _tell(self, child: Child, *words: str) -> None:
        if child.connection is None:
            return
        try:
            send_message(child.connection, words)
        except OSError as error:
            self._journal.write(f"cannot tell the master {child.pid} to {words[0]}: {error}")

    # --- ends ---

    def _reap(self) -> None:
        news: dict[int, tuple[int, float]] = {}
        ended: list[tuple[Child, int]] = []
        children = {child.pid: child for child in self._children()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in children:
                ended.append((children[pid], status))
            elif pid in self._retired:
                self._retired.discard(pid)
            elif self._renewal.takes(pid, status):
                continue
            else:
                news[pid] = (status, time.clock_gettime(time.CLOCK_BOOTTIME))
        if news:
            self._report(news)
        for child, status in ended:
            self._ended(child, status)

    def _report(self, news: dict[int, tuple[int, float]]) -> None:
        """Remember ends until they are acknowledged."""
        self._exits.update(news)
        self._untold.update(dict.fromkeys(news))
        while len(self._exits) > KEPT_EXITS:
            pid = next(iter(self._exits))
            del self._exits[pid]
            self._untold.pop(pid, None)

    def _listener(self) -> Child | None:
        """The master that is to be told of ends now."""
        master = self._master
        if master is None or not master.greeted or master.standing_by or master.connection is None:
            return None
        return master

    def _tell_ends(self) -> None:
        """Tell the master in charge what it does not know yet, as far as there is room."""
        master = self._listener()
        if master is None or master.connection is None:
            return
        try:
            self._send_untold(master.connection)
        except BlockingIOError:
            return  # it is busy; what is left is told as soon as it has read
        except OSError as error:
            # They are kept, and told to the next master; this one is about to be found dead.
            self._journal.write(f"cannot tell the master {master.pid} of {len(self._untold)} ends: {error}")

    def _send_untold(self, connection: socket.socket) -> None:
        while self._untold:
            pids = list(self._untold)[:EXITS_IN_MESSAGE]
            ends = ((pid, *self._exits[pid]) for pid in pids)
            send_message(connection, ["exits", *(f"{pid} {status} {at}" for pid, status, at in ends)])
            for pid in pids:
                del self._untold[pid]
