"""The figures: collected round by round, judged against their goals, and printed as tables.

A figure counts as a ratio to a peer or to the floor in the same round; the median over the rounds is judged.
"""
import dataclasses
import math
import statistics
import time


def median(values):
    return statistics.median(values)


def p99(values):
    return sorted(values)[max(0, math.ceil(len(values) * 0.99) - 1)]


def tail(values):
    return p99(values) / median(values)


def worst(values):
    return max(values)


def least(values):
    return min(values)


@dataclasses.dataclass
class Goal:
    limit: float
    times: str = None  # a ratio to this subject; None: in the figure's own unit
    at_least: bool = False

    def text(self):
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}" + (f" × {self.times}" if self.times else "")

    def holds(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


def at_most(limit, times=None):
    return Goal(limit, times)


def at_least(limit, times=None):
    return Goal(limit, times, at_least=True)


@dataclasses.dataclass
class Figure:
    key: str
    text: str
    goals: tuple = ()
    of: str = "podvisor"
    beside: str = "floor"  # the ratio that is shown when no goal names one
    statistic: callable = median
    digits: int = 3


class Figures:
    """values[key][subject] is a list with the samples of each round."""

    def __init__(self):
        self.values = {}
        self.notes = []  # what could not be measured here
        self.failures = []  # what should have been measured

    def add(self, key, subject, *samples):
        self.values.setdefault(key, {}).setdefault(subject, []).append(list(samples))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def subjects(self, key):
        return list(self.values.get(key, {}))

    def of(self, figure, subject):
        """(value, least, greatest): of all samples, and of the rounds' own."""
        rounds = self.values[figure.key][subject]
        own = [figure.statistic(samples) for samples in rounds]
        return figure.statistic([s for samples in rounds for s in samples]), min(own), max(own)

    def ratio(self, figure, subject, other):
        """Median of the rounds' ratios, None when it cannot be said."""
        rounds = self.values.get(figure.key, {})
        if subject not in rounds or other not in rounds:
            return None
        pairs = [(figure.statistic(a), figure.statistic(b)) for a, b in zip(rounds[subject], rounds[other])]
        ratios = [a / b for a, b in pairs if b and math.isfinite(a) and math.isfinite(b)]
        return median(ratios) if ratios else None


def number(value, digits=3):
    if math.isinf(value):
        return "never"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def spread(figures, figure, subject):
    value, least, greatest = figures.of(figure, subject)
    text = number(value, figure.digits)
    if least == greatest or len(figures.values[figure.key][subject]) < 2:
        return text
    return f"{text} ({number(least, figure.digits)}–{number(greatest, figure.digits)})"


def judge(figures, figure, goal):
    """(what it is held against its goal with, whether it holds); None: not measured."""
    if goal.times:
        value = figures.ratio(figure, figure.of, goal.times)
    else:
        value = figures.of(figure, figure.of)[0]
    return value, None if value is None else goal.holds(value)


def mark(verdicts):
    if not verdicts:
        return ""
    return "not measured" if None in verdicts else "yes" if all(verdicts) else "**no**"


def line(figures, figure):
    """One line of the table, as cells."""
    shown, verdicts, ratios = [], [], []
    for goal in figure.goals:
        value, verdict = judge(figures, figure, goal)
        verdicts.append(verdict)
        shown.append(goal.text())
        if goal.times and value is not None:
            ratios.append(f"{number(value)} × {goal.times}")
    if not ratios and figure.beside != figure.of and (value := figures.ratio(figure, figure.of, figure.beside)) is not None:
        ratios.append(f"{number(value)} × {figure.beside}")
    others = [f"{name} {spread(figures, figure, name)}" for name in figures.subjects(figure.key) if name != figure.of]
    return [figure.text, spread(figures, figure, figure.of), ", ".join(ratios), "; ".join(others), ", ".join(shown),
            mark(verdicts)]


HEAD = ["what", "podvisor", "ratio", "others", "goal", "reached"]


def lines(figures, listed):
    return [line(figures, f) for f in listed if f.of in figures.values.get(f.key, {})]


def markdown(rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [HEAD, ["---"] * len(HEAD), *rows])


def describe_machine():
    with open("/proc/cpuinfo") as file:
        models = [text.partition(":")[2].strip() for text in file if text.startswith("model name")]
    with open("/proc/sys/kernel/osrelease") as file:
        kernel = file.read().strip()
    return {"cpus": len(models), "cpu": models[0] if models else "?", "kernel": kernel,
            "date": time.strftime("%Y-%m-%d %H:%M")}
