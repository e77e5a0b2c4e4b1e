"""What scripts/gpu-check found: one JSON file, written after every step, and a table at the end."""

import datetime
import json
import time

import turns


class Report:
    """`found` is the file's content but for what is computed from the figures, which `write` adds."""

    def __init__(self, out, device, batch, **more):
        self.out, self.device, self.batch = out, device, batch
        self.begun = time.monotonic()
        # Milliseconds a frame: of surgcam by precision, of the peers.
        self.ours, self.others = {}, turns.Figures()
        self.not_measured = {}
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.found = {"format": 1, "device": device, "started": started, **more, "steps": []}

    def seconds(self):
        return time.monotonic() - self.begun

    def add_own(self, precision, times, only_new=False):
        """`only_new`: figures from outside of the rounds are not mixed with those that took turns."""
        figures = self.ours.setdefault(precision, turns.Figures())
        known = set(figures.rounds) if only_new else set()
        figures.add({name: value for name, value in times.items() if name not in known})

    def add_peers(self, times, failures):
        self.others.add(times)
        self.not_measured.update(failures)
        for name in times:
            self.not_measured.pop(name, None)

    def has_failures(self):
        return any(step["state"] == "failed" for step in self.found["steps"])

    def medians(self):
        return {precision: figures.medians() for precision, figures in self.ours.items()}

    def ratios(self):
        return turns.card_ratios(self.medians(), self.others.medians(), self.batch)

    def write(self):
        """Whole or not at all: a run that is killed leaves what it had."""
        content = {
            **self.found,
            "seconds": round(self.seconds(), 1),
            "milliseconds_per_frame": {"surgcam": self.medians(), "peers": self.others.medians()},
            "peers_not_measured": self.not_measured,
            "ratios": [ratio.as_json() for ratio in self.ratios()],
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        part = self.out.with_name(f"{self.out.name}.part")
        part.write_text(json.dumps(content, indent=2) + "\n")
        part.replace(self.out)

    def table(self):
        """Everything for a person."""
        card = self.found.get("card")
        blocks = [
            [f"{card['name']}, driver {card['driver']}" if card else self.device],
            self.steps(),
            self.figures(),
            self.trainings(),
            turns.drawn_ratios(self.ratios()),
            [f"peers not measured: {reason}" for reason in sorted(set(self.not_measured.values()))],
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def steps(self):
        rows = [["step", "state", "time", "why"]]
        for step in self.found["steps"]:
            rows.append([step["name"], step["state"], f"{step['seconds']:.1f} s", step.get("reason", "")])
        return turns.drawn(rows)

    def figures(self):
        named = []
        for precision, times in self.medians().items():
            named += [(f"{step}, {precision}", value) for step, value in times.items()]
        named += self.others.medians().items()
        rows = [[name, f"{value:.3f}", f"{1e3 / value:.1f}"] for name, value in named if value]
        return turns.drawn([["medians of the rounds", "ms/frame", "frames/s"], *rows]) if rows else []

    def trainings(self):
        rows = []
        for precision, figures in self.found.get("training", {}).items():
            share = figures["card"]["busy_share"]
            busy = "not known" if share is None else f"{100 * share:.0f} %"
            name = f"{precision}, {figures['frames']} frames, batch {figures['batch']}"
            rows.append([name, f"{figures['frames_per_second']:.1f}", busy])
        return turns.drawn([["training from a pack", "frames/s", "GPU busy"], *rows]) if rows else []
