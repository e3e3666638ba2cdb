"""stub"""

from validation.energy.report import EnergyReport


def analyze_regions(trace, runs, top1_percent, source) -> EnergyReport:
    raise NotImplementedError
