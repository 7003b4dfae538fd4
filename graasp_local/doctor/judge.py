"""From facts to findings, in the order in which a person would mend them: one small decision each. Pure."""

from __future__ import annotations

from graasp_local.doctor import judge_machine, judge_reach, judge_site
from graasp_local.doctor.facts import Facts
from graasp_local.doctor.findings import Finding


def judge(facts: Facts) -> tuple[Finding, ...]:
    """At least one finding for everything that was looked at."""
    return (
        *judge_site.configuration(facts),
        *judge_site.rotation(facts.rotation_cut_off),
        *judge_machine.engine(facts),
        *judge_machine.compose(facts.compose),
        *judge_machine.images(facts),
        *judge_machine.way_back(facts.way_back),
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
        *judge_site.collations(facts.collations),
        *judge_site.unfinished(facts.unfinished),
    )
