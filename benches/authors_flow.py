"""Feature extraction as the authors' scripts do it (docs/method.md, sections 4 to 6), on any device.

Hooks, a forward and a backward pass for each class, and three backbones cut off after layers 2, 3, 4.
"""

PRESENT = [2, 6, 10]
ROI_THRESHOLD, MINIMUM_AREA = 0.3, 25


class AuthorsFlow:
    """Of one picture, [1, 3, H, W], that is on the network's device."""

    def __init__(self, torch, model, picture):
        self.torch, self.model, self.picture = torch, model, picture
        self.height, self.width = picture.shape[2:]
        layers = list(model.children())
        self.truncated = [torch.nn.Sequential(*layers[:end]).eval() for end in (6, 7, 8)]

    def features(self, mode):
        """One array of 512 numbers for each region, on the CPU. `mode` is sl-fe, l-fe or ln-fe."""
        kept = {}

        def keep_activation(_module, _inputs, output):
            kept["activation"] = output

        def keep_gradient(_module, _inputs, gradients):
            kept["gradient"] = gradients[0]

        layer = self.model.layer4[-1]
        hooks = [
            layer.register_forward_hook(keep_activation),
            layer.register_full_backward_hook(keep_gradient),
        ]
        try:
            return self.with_hooks(mode, kept)
        finally:
            # Left there, they would slow down whoever measures this network's passes.
            for hook in hooks:
                hook.remove()

    def with_hooks(self, mode, kept):
        torch = self.torch
        features = []
        maps = None
        for number in PRESENT:
            self.model.zero_grad()
            self.model(self.picture)[0, number].backward()
            with torch.no_grad():
                weights = kept["gradient"].mean(dim=(2, 3), keepdim=True)
                heat = (weights * kept["activation"]).sum(dim=1, keepdim=True).relu()
                heat = (heat - heat.min()) / (1e-7 + (heat - heat.min()).max())
                if maps is None:
                    maps = [backbone(self.picture)[0] for backbone in self.truncated]
                if mode == "sl-fe":
                    features += self.of_hot_cells(heat, maps[2])
                else:
                    boxes = boxes_of(self.resized(heat, (self.height, self.width)).cpu().numpy())
                    features += [self.of_box(box, maps, mode) for box in boxes]
        return features

    def resized(self, heat, size):
        resize = self.torch.nn.functional.interpolate
        return resize(heat, size=size, mode="bilinear", align_corners=False)[0, 0]

    def of_hot_cells(self, heat, source):
        hot = source[:, self.resized(heat, source.shape[1:]) > ROI_THRESHOLD].reshape(1, 1, -1)
        if not hot.numel():
            return []
        return [self.torch.nn.functional.adaptive_avg_pool1d(hot, 512)[0, 0].cpu().numpy()]

    def of_box(self, box, maps, mode):
        functional = self.torch.nn.functional
        part = self.of_crop(box) if mode == "ln-fe" else self.part_of_map(box, maps)
        pooled = functional.adaptive_avg_pool2d(part.unsqueeze(0), 1).reshape(1, 1, -1)
        return functional.adaptive_avg_pool1d(pooled, 512)[0, 0].cpu().numpy()

    def of_crop(self, box):
        """A pass of its own for the picture inside the box."""
        x, y, width, height = box
        crop = self.picture[:, :, y : y + height, x : x + width]
        crop = self.torch.nn.functional.interpolate(crop, size=(224, 224), mode="bilinear")
        return self.truncated[2](crop)[0]

    def part_of_map(self, box, maps):
        """The box's part of the map that suits its area."""
        x, y, width, height = box
        area, whole = width * height, self.height * self.width
        source = maps[0] if area < whole / 16 else maps[1] if area < whole / 4 else maps[2]
        _, rows, columns = source.shape
        top = min(round(y * rows / self.height), rows - 1)
        left = min(round(x * columns / self.width), columns - 1)
        bottom = round((y + height) * rows / self.height)
        right = round((x + width) * columns / self.width)
        return source[:, top : max(bottom, top + 1), left : max(right, left + 1)]


def boxes_of(heat):
    """Bounding rectangles of the hot parts of a heat map at the picture's size, as OpenCV finds them."""
    import cv2
    import numpy

    mask = (heat > ROI_THRESHOLD).astype(numpy.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(contour) for contour in contours]
    return [box for box in boxes if box[2] * box[3] > MINIMUM_AREA]
