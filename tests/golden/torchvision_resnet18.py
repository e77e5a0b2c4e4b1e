"""Torchvision's ResNet-18 with weights from their names (README.md)."""

import torchvision
from formula import weight


def network(classes, seed, kind):
    """In evaluation."""
    model = torchvision.models.resnet18(weights=None, num_classes=classes)
    counter = "num_batches_tracked"
    state = model.state_dict()
    model.load_state_dict({n: t if n.endswith(counter) else weight(n, tuple(t.shape), seed) for n, t in state.items()})
    return model.to(kind).eval()
