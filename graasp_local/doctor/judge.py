"""From facts to findings, in the order in which they should be fixed: one small decision each. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from graasp_local.doctor import judge_machine, judge_reach, judge_site
from graasp_local.doctor.facts import Facts, Unknown
from graasp_local.doctor.findings import Finding, Verdict


def judge(facts: Facts) -> tuple[Finding, ...]:
    """At least one finding for everything that was checked; only what a deployment would be refused for fails."""
    found = _each(facts)
    if isinstance(facts.refusals, Unknown):
        return found
    refused = {problem.check: problem for problem in facts.refusals.value}
    agreeing = tuple(
        replace(finding, verdict=Verdict.WARNING)
        if finding.verdict is Verdict.FAILS and finding.check not in refused
        else finding
        for finding in found
    )
    told = {finding.check for finding in agreeing if finding.verdict is Verdict.FAILS}
    return agreeing + tuple(
        Finding(problem.check, Verdict.FAILS, problem.said, problem.fix)
        for problem in facts.refusals.value
        if problem.check not in told
    )


def _each(facts: Facts) -> tuple[Finding, ...]:
    return (
        *judge_site.configuration(facts),
        *judge_site.maker(facts.newer_maker),
        *judge_site.rotation(facts.rotation_cut_off),
        *judge_machine.engine(facts),
        *judge_machine.compose(facts.compose),
        *judge_machine.images(facts),
        *judge_machine.rollback(facts.rollback),
        *judge_machine.registry(facts.registry),
        *judge_machine.disk(facts),
        *judge_machine.memory(facts),
        *judge_reach.ports(facts.ports),
        *judge_reach.names(facts.names),
        *judge_reach.certificate(facts.certificate),
        *judge_reach.renewal(facts.renewal),
        *judge_reach.clock(facts.clock_ahead_seconds),
        *judge_reach.mail(facts.mail),
        *judge_site.leftovers(facts.leftovers),
        *judge_site.volumes(facts.volumes),
        *judge_site.postgres(facts.postgres),
        *judge_site.collations(facts.collations, facts.postgres),
        *judge_site.unfinished(facts.unfinished, facts.holder),
    )
