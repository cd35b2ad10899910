"""A network in two: its body, which makes the same of an image in every epoch, and its end.

`torch.fx` traces what the network does as a graph of operations. Those that see nothing but the
images and what no step changes are the same again and again: frozen layers, pools, activations; not
dropout, nor batch norm by the batch. The cut is at the last of them that all that follows is
computed from. Both parts have the network's own layers in them, and do the same operations in the
same order, so that one after the other is the network to the bit.
"""

import logging
import operator
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from torch import fx, nn

log = logging.getLogger(__name__)

_RANDOM_LAYERS = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip
# Parts of the names of functions that may draw; whatever else does is found when it has drawn.
_RANDOM_WORDS = ("drop", "rand", "bernoulli", "multinomial", "normal_", "uniform_", "stochastic")
_SHARE = 4  # of the layers, one in so many must be frozen
_READS = (operator.getitem, getattr)  # whose results may be left unused


class Cut(NamedTuple):
    """Both parts: images to features, and features to what the network gives.

    Attributes:
        body: The same in every epoch.
        end: The rest; its layers are the network's.
        at: The name of the last operation of the body.
    """

    body: nn.Module
    end: nn.Module
    at: str


def changing(model: nn.Module) -> frozenset[str]:
    """Name a network's parameters that are trained, and its layers that a step changes.

    Args:
        model: In training mode, as its steps see it.
    """
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    for name, layer in model.named_modules():
        trained = any(parameter.requires_grad for parameter in layer.parameters())
        if trained or (layer.training and any(True for _ in layer.buffers())):
            names.add(name)
    return frozenset(names)


def cut(model: nn.Module, changes: Collection[str]) -> Cut | None:
    """Divide a network, in the mode that it is in; None where little that is frozen comes first.

    Args:
        model: Nothing of it is copied.
        changes: As `changing` gives them; of an averaged network, those of the one that is trained.
    """
    try:
        nodes = list(fx.Tracer().trace(model).nodes)
    except Exception as error:  # noqa: BLE001 (whatever a network does that is no graph)
        log.debug("%s cannot be traced: %s", type(model).__name__, error)
        return None
    if not _is_plain(nodes):
        return None
    layers = dict(model.named_modules())
    same = _same(nodes, layers, changes)
    (images,) = (node for node in nodes if node.op == "placeholder")
    for at in reversed(same):
        after = _needed(nodes[-1], at)
        if at is not images and images not in after:
            before = same[: same.index(at) + 1]
            worth_it = _is_worth_it(before, layers)
            return _divided(model, nodes, before, after) if worth_it else None
    return None


def _is_plain(nodes: Sequence[fx.Node]) -> bool:
    """Whether one input leads to one output, and no operation is there for what it does beside."""
    inputs = [node for node in nodes if node.op == "placeholder"]
    unused = [node for node in nodes[:-1] if not node.users and node.target not in _READS]
    return len(inputs) == 1 and not unused


def _same(
    nodes: Iterable[fx.Node], layers: dict[str, nn.Module], changes: Collection[str]
) -> list[fx.Node]:
    """Give the operations whose results are the same in every epoch, in their order."""
    same: dict[fx.Node, None] = {}
    for node in nodes:
        known = all(given in same for given in node.all_input_nodes)
        if known and node.op != "output" and not _changes(node, layers, changes):
            same[node] = None
    return list(same)


def _changes(node: fx.Node, layers: dict[str, nn.Module], changes: Collection[str]) -> bool:
    if node.op == "placeholder":
        return False
    target = str(node.target)
    if node.op in {"call_module", "get_attr"}:
        layer = layers.get(target)
        draws = isinstance(layer, _RANDOM_LAYERS) and layer.training and layer.p > 0
        return target in changes or draws
    name = getattr(node.target, "__name__", target)
    return any(word in name for word in _RANDOM_WORDS)


def _needed(output: fx.Node, at: fx.Node) -> set[fx.Node]:
    """Give what the output is computed from, where `at` is given."""
    needed, left = {output}, [output]
    while left:
        for node in left.pop().all_input_nodes:
            if node is not at and node not in needed:
                needed.add(node)
                left.append(node)
    return needed


def _is_worth_it(nodes: Iterable[fx.Node], layers: dict[str, nn.Module]) -> bool:
    """Whether operations have a good part of a network's layers with weights.

    What a first convolution alone gives takes more memory than it saves time.
    """
    called = {str(node.target) for node in nodes if node.op == "call_module"}
    learned = [name for name, layer in layers.items() if layer.state_dict() and _is_leaf(layer)]
    return sum(name in called for name in learned) >= max(1, len(learned) / _SHARE)


def _is_leaf(layer: nn.Module) -> bool:
    return not list(layer.children())


def _divided(
    model: nn.Module, nodes: Sequence[fx.Node], before: Sequence[fx.Node], after: set[fx.Node]
) -> Cut:
    at = before[-1]
    body, end = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in before:
        copies[node] = body.node_copy(node, copies.__getitem__)
    body.output(copies[at])
    copies = {at: end.placeholder("features")}
    for node in nodes:
        if node in after:
            copies[node] = end.node_copy(node, copies.__getitem__)
    root: Any = model
    return Cut(fx.GraphModule(root, body), fx.GraphModule(root, end), at.name)
