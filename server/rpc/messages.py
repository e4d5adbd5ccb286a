"""Stored values to protocol messages, and requests to settings: the only place that knows both."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from becausal.v1 import explanation_pb2 as pb
from becausal.v1 import explanation_service_pb2 as service_pb
from explainer.settings import Intervention, Settings
from server.errors import InvalidFieldError

if TYPE_CHECKING:
    from explainer.explanation import (
        Cause,
        Certificate,
        Counterfactual,
        Effect,
        Explanation,
        HeadGraph,
        RankedItem,
        Robustness,
        Standing,
    )
    from server.application import Recommendation
    from server.what_if import WhatIf
    from storage import ExplanationRecord

NAME_PREFIX = "explanations/"


def recommendation_message(recommendation: Recommendation) -> service_pb.RecommendResponse:
    """A ranked list."""
    return service_pb.RecommendResponse(
        items=[_ranked(item) for item in recommendation.items],
        model_version=recommendation.model_version,
        unknown_items=recommendation.unknown_items,
        truncated=recommendation.truncated,
    )


def what_if_message(answer: WhatIf) -> service_pb.WhatIfResponse:
    """Two lists and what moved between them."""
    return service_pb.WhatIfResponse(
        before=[_ranked(item) for item in answer.before],
        after=[_ranked(item) for item in answer.after],
        movements=[
            service_pb.WhatIfResponse.Movement(
                item=moved.item, title=moved.title, rank_before=moved.rank_before, rank_after=moved.rank_after
            )
            for moved in answer.movements
        ],
        model_version=answer.model_version,
        unknown_items=answer.unknown_items,
    )


def explanation_message(record: ExplanationRecord, *, stored: bool = True, full: bool = True) -> pb.Explanation:
    """An explanation; one that was not stored has no name, id or time."""
    explanation = record.explanation
    message = pb.Explanation(
        user_id=record.user_id,
        model_version=explanation.model_version,
        history=explanation.history,
        history_titles=explanation.titles,
        older_history=record.older_history,
        unknown_items=record.unknown_items,
        target=_ranked(explanation.target),
        status=pb.Explanation.Status.Value(explanation.status.value),
        causes=[_cause(cause) for cause in explanation.causes],
        effects=[_effect(effect) for effect in explanation.effects],
        intervention=_intervention(explanation.settings.intervention),
        counterfactual=_counterfactual(explanation.counterfactual),
        holds_when_deleted=explanation.holds_when_deleted,
        position_sensitive=explanation.position_sensitive,
        certificate=_certificate(explanation.certificate),
        graphs=[_graph(graph) for graph in explanation.graphs],
        options=_options(explanation.settings),
        cost=_cost(explanation),
        reason=explanation.reason,
        reason_html=html.escape(explanation.reason),
        reason_withheld=explanation.reason_withheld,
        alternatives=[pb.PositionSet(positions=removal) for removal in explanation.alternatives],
        common=explanation.common,
        robustness=_robustness(explanation.robustness),
        standing=_standing(explanation.standing),
        digests=dict(explanation.digests),
    )
    if stored:
        message.name = f"{NAME_PREFIX}{record.id}"
        message.id = str(record.id)
        message.create_time.FromDatetime(record.create_time)
    if not full:
        message.ClearField("history")
        message.ClearField("history_titles")
        message.ClearField("older_history")
        message.ClearField("effects")
        message.ClearField("graphs")
        message.ClearField("alternatives")
        message.ClearField("options")
        message.ClearField("cost")
        message.ClearField("digests")
    return message


def settings_from(options: pb.ExplainOptions, defaults: Settings) -> Settings:
    """The settings a request asks for, over the server's defaults.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """
    given: dict[str, Any] = {field.name: value for field, value in options.ListFields()}
    given["intervention"] = intervention_from(options.intervention, defaults.intervention)
    return replace(defaults, **given)


def intervention_from(value: pb.ExplainOptions.Intervention.ValueType, default: Intervention) -> Intervention:
    """The intervention that a request asks for, or the default."""
    if value == pb.ExplainOptions.INTERVENTION_UNSPECIFIED:
        return default
    return Intervention(pb.ExplainOptions.Intervention.Name(value))


def id_from(name: str) -> UUID:
    """The id in a resource name, explanations/{id}, or an id by itself.

    Raises:
        InvalidFieldError: the name is neither.
    """
    try:
        return UUID(name.removeprefix(NAME_PREFIX))
    except ValueError as error:
        raise InvalidFieldError(
            "name", 'name is no id; give "explanations/{id}", as Explain returned it, or the id of another entry.'
        ) from error


def _ranked(item: RankedItem) -> pb.RankedItem:
    return pb.RankedItem(item=item.item, title=item.title, rank=item.rank, score=item.score)


def _effect(effect: Effect) -> pb.Effect:
    return pb.Effect(score=effect.score, rank=effect.rank, probability=effect.probability)


def _cause(cause: Cause) -> pb.Cause:
    return pb.Cause(
        item=cause.item,
        title=cause.title,
        position=cause.position,
        effect=_effect(cause.effect),
        relation=pb.Cause.Relation.Value(cause.relation.value),
        relation_text=cause.relation_text,
        relation_by_head=[pb.Cause.Relation.Value(relation.value) for relation in cause.relation_by_head],
    )


def _counterfactual(counterfactual: Counterfactual | None) -> pb.Counterfactual | None:
    if counterfactual is None:
        return None
    return pb.Counterfactual(
        removed=counterfactual.removed,
        replacement=_ranked(counterfactual.replacement),
        replacement_score=counterfactual.replacement_score,
        target_score=counterfactual.target_score,
        target_rank=counterfactual.target_rank,
    )


def _certificate(certificate: Certificate) -> pb.Certificate:
    return pb.Certificate(
        exhaustive_below=certificate.exhaustive_below,
        sets_tried=certificate.sets_tried,
        alternatives=certificate.alternatives,
        max_size=certificate.max_size,
        kind=_kind(certificate),
        exhausted=certificate.exhausted,
    )


def _kind(certificate: Certificate) -> pb.Certificate.Kind.ValueType:
    if certificate.kind is None:
        return pb.Certificate.KIND_UNSPECIFIED
    return pb.Certificate.Kind.Value(certificate.kind.value)


def _robustness(robustness: Robustness | None) -> pb.Robustness | None:
    if robustness is None:
        return None
    return pb.Robustness(
        moves_under=[_intervention(intervention) for intervention in robustness.moves_under],
        stability=robustness.stability,
        effect=robustness.effect,
        sufficient=robustness.sufficient,
        rank_from_causes_alone=robustness.rank_from_causes_alone,
    )


def _standing(standing: Standing | None) -> pb.Standing | None:
    if standing is None:
        return None
    return pb.Standing(
        obstacle=pb.Standing.Obstacle.Value(standing.obstacle.value),
        rank_without_history=standing.rank_without_history,
        items_needed=standing.items_needed,
    )


def _intervention(intervention: Intervention) -> pb.ExplainOptions.Intervention.ValueType:
    return pb.ExplainOptions.Intervention.Value(intervention.value)


def _graph(graph: HeadGraph) -> pb.Graph:
    edges = [
        pb.Edge(
            source=edge.source,
            target=edge.target,
            mark_at_source=pb.Edge.Mark.Value(edge.mark_at_source.name),
            mark_at_target=pb.Edge.Mark.Value(edge.mark_at_target.name),
            support=edge.support,
            support_at_source=edge.support_of_marks[0],
            support_at_target=edge.support_of_marks[1],
        )
        for edge in graph.edges
    ]
    return pb.Graph(
        head=graph.head,
        radius=graph.radius,
        complete=graph.complete,
        tests=graph.tests,
        cutoff=graph.cutoff,
        ambiguous=graph.ambiguous,
        contested=graph.contested,
        stopped=pb.Graph.Stop.Value(graph.stopped.value),
        legal=graph.legal,
        edges=edges,
    )


def _options(settings: Settings) -> pb.ExplainOptions:
    return pb.ExplainOptions(
        intervention=_intervention(settings.intervention),
        top_k=settings.top_k,
        max_size=settings.max_size,
        max_rows=settings.max_rows,
        alpha=settings.alpha,
        n_samples=settings.n_samples,
        max_radius=settings.max_radius,
        max_tests=settings.max_tests,
        temporal=settings.temporal,
        exhaust=settings.exhaust,
        language_code=settings.language_code,
        verb=settings.verb,
        min_effect=settings.min_effect,
        min_stability=settings.min_stability,
    )


def _cost(explanation: Explanation) -> pb.Cost:
    cost = explanation.cost
    return pb.Cost(
        rows_scored=cost.rows_scored,
        recommend_ms=cost.recommend_ms,
        graph_ms=cost.graph_ms,
        search_ms=cost.search_ms,
    )
