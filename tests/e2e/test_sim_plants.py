"""The simulation itself: a bug of each kind, planted in a copy of the model, turns it red with the promise that it breaks."""
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from podvisor import not_under_valgrind

pytestmark = not_under_valgrind("it runs the simulation, as valgrind-sim does, and not podvisor")
ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = "1000000"  # by then each of them has been found; most are within the first thousand
ROOMS = ["supervisor/base", "supervisor/wire", "supervisor/model", "tests/sim"]


@dataclasses.dataclass
class Plant:
    name: str
    file: str  # of supervisor/model
    was: str
    now: str
    broken: str  # what the simulation has to say


PLANTS = [
    # no worker runs whose dependency was never ready
    Plant("a-worker-that-is-not-ready-lets-others-start", "world.c",
          "worker_is_available(worker))\n\t\t\tcontinue;", "worker_is_up(worker))\n\t\t\tcontinue;", "is started, but .* is not there"),
    Plant("a-database-that-never-answered-is-there", "database.c",
          "return d->state == DATABASE_UP || d->state == DATABASE_DEGRADED;", "return d->state != DATABASE_DOWN;",
          "is started, but postgres:main is not there"),
    # never two runs of one worker
    Plant("the-main-process-is-taken-for-the-tree", "worker.c",
          "return w->run != 0;", "return w->run != 0 && !w->main_ended;", "is started while its run"),
    Plant("the-old-instance-0-is-not-waited-for", "reconcile.c",
          "gate->may_start = !straggler && !predecessor;", "gate->may_start = !straggler;", "is started while its run"),
    Plant("what-a-reload-removes-is-forgotten-while-it-runs", "reconcile.c",
          "if (worker->removed && !worker_is_up(worker))", "if (worker->removed)", "was forgotten while it runs|is started while its run"),
    Plant("a-reload-is-taken-while-podvisor-stops", "reload.c",
          "return w->drain.shutdown ? err_set(", "return w->drain.shutdown && w->drain.asked == false ? err_set(",
          "the reload ended with 0"),
    Plant("a-fact-of-an-older-run-counts", "worker_events.c",
          "(e->run == 0 || e->run != w->run)", "!w->run", "."),
    Plant("an-end-that-is-told-twice-counts-twice", "worker_events.c",
          "if (w->main_ended)\n\t\treturn;", "", "has counted .* exits instead of"),
    # a wanted stop always ends
    Plant("a-worker-that-is-not-ready-yet-is-not-stopped", "worker_plan.c",
          "if (!w->wanted)\n", "if (!w->wanted && w->ready_at)\n", "is not wanted any more and is"),
    Plant("a-stop-command-that-hangs-is-waited-for", "worker_plan.c",
          "if (w->main_ended || w->killing)", "if (w->main_ended || w->killing || w->stop_step == WORKER_STOP_COMMANDED)",
          "was to end by|but nobody wakes up for it|and never became ready"),
    Plant("a-start-may-take-for-ever", "worker_plan.c",
          "else if (clock_due(w->start_deadline, t->now))", "else if (clock_due(w->start_deadline, t->now) && w->ready_at)",
          "was to start by|but nobody wakes up for it"),
    Plant("a-stop-command-and-a-signal", "worker_plan.c",
          "\t\tplan_add(t->plan, EFFECT_WORKER_STOP_COMMAND,",
          "\t\tplan_add(t->plan, EFFECT_WORKER_SIGNAL, w->slot, w->run, 15, \"%s\", why);\n\t\tplan_add(t->plan, EFFECT_WORKER_STOP_COMMAND,",
          "gets another signal"),
    Plant("nobody-wakes-up-to-kill", "worker_plan.c",
          "\tif (!clock_due(w->stop_deadline, t->now)) {\n\t\tplan_wake(t->plan, w->stop_deadline);\n",
          "\tif (!clock_due(w->stop_deadline, t->now)) {\n", "but nobody wakes up for it"),
    Plant("a-third-signal-kills-nobody", "reconcile.c",
          "gate.kill = drain_haste(&w->drain);", "gate.kill = NULL;", "was not killed at once"),
    # back-off within its bounds, and nobody forgotten
    Plant("the-back-off-has-full-jitter", "restart.c",
          "return random_jitter(random, delay, config->backoff.jitter_percent);",
          "return (ms_t)random_below(random, (uint64_t)delay + 1);", "ms after its end; restart"),
    Plant("the-back-off-has-no-maximum", "restart.c",
          "delay = clock_earlier(delay, config->backoff.max);", "",
          "although nothing has held it back|but nobody wakes up for it"),
    Plant("nobody-wakes-up-after-the-back-off", "worker_plan.c",
          "\t\tplan_wake(t->plan, w->not_before);\n", "", "but nobody wakes up for it"),
    Plant("a-run-that-lasted-forgives-nothing", "restart.c",
          "r->streak = 0;", "r->streak += 0;", "although nothing has held it back|but nobody wakes up for it"),
    Plant("one-restart-more-than-the-limit", "restart.c",
          ">= config->limit.count", "> config->limit.count", "is restarted .* times within"),
    Plant("the-window-of-the-limit-is-half-as-long", "restart.c",
          "now - r->at[i] < window;", "now - r->at[i] < window / 2;", "is restarted .* times within"),
    Plant("nobody-wakes-up-after-a-stretch", "worker_plan.c",
          "\tif (plan_faults(w, t))\n\t\treturn;\n\tplan_progress(w, t);\n", "\tplan_progress(w, t);\n\tif (plan_faults(w, t))\n\t\treturn;\n",
          "planned twice asks to be woken earlier"),
    # every effect has a reason, and is planned once
    Plant("an-effect-says-nothing", "worker_plan.c",
          ' : "it is wanted");', ' : "");', "worker-spawn has no reason"),
    Plant("a-check-is-sent-and-not-marked", "worker_plan.c",
          "\t\thealth_sent(h);\n", "", "the same turn planned twice gives another effect"),
    # groups, phases, order
    Plant("a-group-comes-back-one-by-one", "reconcile.c",
          "bool leaving = other->cause == CAUSE_GROUP || other->state == WORKER_STOPPING;", "bool leaving = false;",
          "came back before"),
    Plant("who-is-started-by-hand-comes-back-alone", "worker_events.c",
          "\tworker_come_back(w);\n\tworker_enter(w, WORKER_WAITING, t, \"somebody asked for it\");",
          "\tworker_enter(w, WORKER_WAITING, t, \"somebody asked for it\");", "came back before"),
    Plant("a-partner-is-a-dependency", "reconcile.c",
          "if (gate.may_start && !worker_is_up(worker))", "if (gate.may_start)",
          "but all that it depends on is there|the same turn planned twice"),
    Plant("the-order-of-stops-is-forgotten", "reconcile.c",
          "gate.may_stop = !gate.shutdown || !is_needed(w, THING_WORKER, config->name);", "gate.may_stop = true;",
          "is stopped before what depends on it"),
    Plant("the-drain-outlives-those-who-serve-it", "reconcile.c",
          "phase == STOP_ON_TERM ? DRAIN_LAME_DUCK : DRAIN_STOPPING;", "phase == STOP_ON_TERM ? DRAIN_LAME_DUCK : DRAIN_LAME_DUCK;",
          "is stopped too early|is started during the shutdown|is not wanted"),
    Plant("a-shutdown-starts-workers", "worker_plan.c",
          "if (!w->wanted || w->removed || gate->shutdown) {", "if (!w->wanted || w->removed) {", "is started during the shutdown"),
    # the memory guard
    Plant("the-guard-acts-although-use-is-below", "memory_guard.c",
          "g->state == MEMORY_GUARD_HIGH && is_above(g, c) && g->above > 0;", "g->state == MEMORY_GUARD_HIGH;",
          "although use is not above"),
    Plant("the-guard-does-not-wait-for-its-step", "memory_guard.c",
          "if (!settled && !clock_due(patience, t->now)) {", "if (!settled && clock_due(g->last.at, t->now - 1) == false) {",
          "before its last step is over"),
    Plant("the-guard-ends-before-it-purges", "memory_guard.c",
          "other->action < best->action ? other : best", "other->action > best->action ? other : best",
          "before the volume was purged|before the browser was recycled"),
    Plant("the-guard-ends-what-is-critical", "relief.c",
          "worker_is_configured(worker) && !worker->config->critical && worker->config->kind != WORKER_TASK",
          "worker_is_configured(worker)", "which is critical or a task"),
    Plant("the-guard-acts-while-podvisor-stops", "relief.c",
          "\tif (w->drain.shutdown)\n\t\treturn;\n", "", "while podvisor stops"),
    # jobs
    Plant("a-clock-that-is-set-back-takes-times-back", "schedule.c",
          "s->taken_s = wall_s > s->taken_s ? wall_s : s->taken_s;", "s->taken_s = wall_s;", "takes back what has come"),
    Plant("a-time-is-not-counted-as-missed", "schedule.c", "s->missed[why] += n;", "s->missed[why] += n > 1 ? n : 0;",
          "are missed, and no run is owed"),
    Plant("a-run-that-waited-is-forgotten", "schedule.c", "s->owed = s->queued;", "s->owed = false;", "forgets the run that waited"),
    Plant("of-times-that-passed-together-one-comes-later", "schedule.c",
          "for (; is_due(s, t) && n < LATE_MAX; n++) {", "for (; is_due(s, t) && n < 1; n++) {", "times come to .*, but .* are due"),
    Plant("a-leap-of-the-clock-is-not-looked-for", "schedule.c",
          "clock_earlier(due, clock_after(t->now, SCHEDULE_LOOK_MS))", "due", "but nobody wakes up for it"),
    Plant("a-job-runs-without-its-time", "worker_plan.c",
          "if (w->config->kind == WORKER_JOB && !w->schedule.owed) {", "if (w->config->kind == WORKER_JOB && w->n_runs == 0 && !w->schedule.owed) {",
          "is started, but nothing is due"),
    Plant("a-deadline-is-for-what-is-ready", "worker_plan.c",
          "if (!w->config->deadline)", "if (!w->config->deadline || !w->ready_at)", "was to end by .* and goes on|but nobody wakes up for it"),
    # the journal and the verdicts
    Plant("an-entry-is-dated-back", "worker.c",
          "journal_add(t->journal, t->now, level,", "journal_add(t->journal, w->since, level,", "the journal tells of"),
    Plant("ready-without-a-critical-worker", "verdict.c",
          "worker->name, lets_be_ready(worker),", "worker->name, worker_is_up(worker),", "it is ready, but api is"),
    Plant("startup-is-taken-back", "verdict.c", "if (w->all_ready_once) {", "if (w->all_ready_once && !w->drain.asked) {",
          "it had started, and has not"),
    # the end of the pod
    Plant("the-last-resort-comes-late", "reconcile.c",
          "clock_after(w->drain.deadline, LAST_RESORT_MS)", "clock_after(w->drain.deadline, 10 * LAST_RESORT_MS)",
          "podvisor was to end by|podvisor: something is to be done"),
    Plant("a-second-signal-skips-nothing", "drain.c", "d->hurried = d->signals >= 2;", "d->hurried = d->signals >= 3;",
          "after 2 signals"),
    Plant("volumes-are-not-waited-for", "reconcile.c",
          "w->drain.gateway_closed && parts_are_closed(w, t->now);", "w->drain.gateway_closed && (parts_are_closed(w, t->now) || true);",
          "the volume was not released"),
    Plant("nobody-waits-for-what-the-gateway-has-to-tell", "reconcile.c",
          "w->drain.gateway_closed && parts_are_closed(w, t->now);", "parts_are_closed(w, t->now);", "the gateway has not told how it ended"),
    Plant("nobody-is-cut-off-who-does-not-say-goodbye", "drain.c",
          "|| d->signals >= 3 || clock_due(d->phase_until, t->now)) {", ") {", "woken in the past|podvisor was to end by"),
    # the browser and the database
    Plant("a-browser-starts-beside-its-leftovers", "generation.c",
          "\t\ton_exited(g, e, t);\n", "\t\ton_exited(g, e, t);\n\t\ton_gone(g, e, t);\n", "is launched beside run"),
    Plant("one-rung-proves-a-browser", "generation.c",
          "if (rung_is_on(g, (enum rung)i) && !g->rungs[i].proven)\n\t\t\treturn false;",
          "if (i == 0 && !g->rungs[i].proven)\n\t\t\treturn false;", "before it has answered on every rung|is started, but browser:chrome"),
    Plant("a-browser-is-never-killed", "generation.c",
          "g->stop_step + 1 : BROWSER_STOP_KILL", "g->stop_step : BROWSER_STOP_KILL", "the browser was to end within|chrome: .* but nobody wakes up for it"),
    Plant("the-next-browser-starts-beside-one-that-ends", "browser.c",
          "\tif (find_in(b, GENERATION_STOPPING) || find_in(b, GENERATION_CLEANING))\n\t\treturn NULL;\n", "", "is launched beside|planned twice gives another effect: browser-launch"),
    Plant("blue-is-retired-before-green-has-proven-itself", "browser.c",
          "\t\tplace->green = true;\n", "\t\tplace->green = true;\n\t\tswap_retire(&b->swap, blue, t);\n",
          "takes no sessions any more before another can"),
    Plant("a-drain-is-not-waited-for", "generation.c",
          "if (g->facts.sessions <= 0 && clock_due(settled, t->now))", "if (clock_due(settled, t->now))", "sessions .* ms after it was retired"),
    Plant("a-browser-is-kept-for-who-hangs", "reconcile.c",
          "(hurried || !is_needed(w, THING_BROWSER, browser->config->name))", "!is_needed(w, THING_BROWSER, browser->config->name)",
          "the browser is not wanted any more"),
    Plant("two-checks-of-a-database-at-once", "database.c",
          "if (d->check_in_flight)\n", "if (d->check_in_flight && d->session)\n", "while that of run|planned twice"),
    # leases: one holder, tokens that only grow
    Plant("a-term-counts-from-the-receipt", "lease.c", "\t\tl->sent_at = e->sent;\n", "\t\tl->sent_at = e->received;\n", "at once"),
    Plant("a-renewal-looks-at-the-name-only", "lease_row.c",
          "return row->token == o->token && row->timeline == o->timeline && strcmp(row->holder, me) == 0;",
          "(void)row, (void)o, (void)me;\n\treturn true;", "at once|after"),
    Plant("a-release-comes-before-the-end-of-the-tree", "lease.c", "if (!ends || wish.tree)", "if (!ends)", "releases while its tree lives"),
    Plant("the-clock-of-the-server-counts", "lease.c", "\t\tl->seen_at = e->received;\n",
          "\t\tl->seen_at = e->received - (e->server_ms - e->row.renewed_ms);\n", "at once|nobody holds it"),
    Plant("what-is-taken-is-not-compared", "lease_row.c", " || !is_as_expected(row, &o->expected)", " || !&is_as_expected", "at once|after"),
    Plant("a-new-timeline-is-taken-at-once", "lease_epoch.c",
          "return granted == e->timeline ? e->first_sight : clock_after(e->first_sight, ttl);",
          "return granted == e->timeline ? e->first_sight : e->first_sight + 0 * ttl;", "at once|after"),
    Plant("another-timeline-is-not-noticed", "lease_row.c", "timeline != o->timeline || ", "", "at once|after"),
]


class Workshop:
    """The objects of the model and the simulation, compiled once; a plant compiles its own file and links anew."""

    def __init__(self, path):
        self.path = path
        self.sources = [source for room in ROOMS for source in sorted((ROOT / room).glob("*.c"))]

    def run(self, *argv, **environment):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SIM_")}
        done = subprocess.run(argv, cwd=ROOT, env={**env, "CMOCKA_MESSAGE_OUTPUT": "stdout", **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
        return done.returncode, done.stdout

    def object_of(self, source):
        return self.path / (str(source.relative_to(ROOT)).replace("/", "-") + ".o")

    def compile(self, source, out, beside):
        code, text = self.run(os.environ.get("CC", "gcc"), "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-Iinclude", f"-I{beside}", "-c", str(source), "-o", str(out))
        assert code == 0, text

    def build(self):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in [pool.submit(self.compile, s, self.object_of(s), s.parent) for s in self.sources]:
                done.result()

    def link(self, out, instead=None, by=None):
        objects = [str(by if source == instead else self.object_of(source)) for source in self.sources]
        code, text = self.run(os.environ.get("CC", "gcc"), *objects, "-o", str(out), "-lcmocka", "-ljansson", "-lpcre2-8", "-lm")
        assert code == 0, text
        return out

    def grow(self, plant):
        """Returns how the simulation ended with the bug in it, and what it said; or the reason why it could not be planted."""
        source = ROOT / "supervisor/model" / plant.file
        text = source.read_text()
        if text.count(plant.was) != 1:
            return 0, f"{plant.file} has {plant.was!r} {text.count(plant.was)} times: plant the bug where the code is now"
        changed, planted = self.path / f"{plant.name}.c", self.path / f"{plant.name}.o"
        changed.write_text(text.replace(plant.was, plant.now))
        self.compile(changed, planted, source.parent)
        return self.run(str(self.link(self.path / plant.name, source, planted)), SIM_STEPS=STEPS)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    compiler = os.environ.get("CC", "gcc")
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    workshop = Workshop(tmp_path_factory.mktemp("plants"))
    workshop.build()
    return workshop


@pytest.fixture(scope="module")
def harvest(workshop):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip([plant.name for plant in PLANTS], pool.map(workshop.grow, PLANTS)))


def test_without_a_planted_bug_it_is_green(workshop):
    code, text = workshop.run(str(workshop.link(workshop.path / "clean")), SIM_STEPS="30000")
    assert code == 0, text
    assert re.search(r"\d+ steps, \d+ lives, \d+\.\d s", text)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_turns_it_red(harvest, plant):
    code, text = harvest[plant.name]
    assert code != 0, f"it was not found:\n{text}"
    assert re.search(r"seed \d+, at \d+ ms: .*(" + plant.broken + ")", text), text


def test_the_seed_that_it_prints_repeats_it(workshop, harvest):
    plant = next(plant for plant in PLANTS if plant.name == "one-restart-more-than-the-limit")
    said = re.search(r"seed (\d+), at (\d+) ms: .*", harvest[plant.name][1])
    code, text = workshop.run(str(workshop.path / plant.name), SIM_SEED=said[1])
    assert code != 0
    assert said[0] in text
