"""The VOC protocol a second time, slow and literal: one class, one detection, one object at a time, in rationals."""

import math
from fractions import Fraction


def literal_ap(verdicts, positives, interpolation):
    """`verdicts` in order of score: 1 right, -1 wrong, 0 ignored."""
    if positives == 0:
        return math.nan
    recalls, precisions, tp, fp = [], [], 0, 0
    for verdict in verdicts:
        tp += verdict == 1
        fp += verdict == -1
        recalls.append(Fraction(tp, positives))
        precisions.append(Fraction(tp, tp + fp) if tp + fp else Fraction(0))
    if interpolation == "11point":
        total = Fraction(0)
        for k in range(11):
            total += max((p for r, p in zip(recalls, precisions, strict=True) if r >= Fraction(k, 10)), default=0)
        return float(total / 11)
    recalls, precisions = [Fraction(0), *recalls, Fraction(1)], [Fraction(0), *precisions, Fraction(0)]
    for i in reversed(range(len(precisions) - 1)):
        precisions[i] = max(precisions[i], precisions[i + 1])
    return float(sum((recalls[i] - recalls[i - 1]) * precisions[i] for i in range(1, len(recalls))))


def literal_iou(a, b):
    a, b = [Fraction(float(v)) for v in a], [Fraction(float(v)) for v in b]
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return None
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def literal_detection(images, label, threshold, interpolation):
    """`images`: per image (detections [(box, score, label)], objects [(box, label, difficult)])."""
    objects = [[(box, hard) for box, lab, hard in there if lab == label] for _, there in images]
    taken = [[False] * len(there) for there in objects]
    positives = sum(not hard for there in objects for _, hard in there)
    answers = [(i, box, score) for i, (found, _) in enumerate(images) for box, score, lab in found if lab == label]
    verdicts = []
    for image, box, _ in sorted(answers, key=lambda answer: -answer[2]):  # Python's sort is stable
        best, chosen = None, None
        for j, (there, _) in enumerate(objects[image]):
            overlap = literal_iou(box, there)
            if overlap is not None and (best is None or overlap > best):
                best, chosen = overlap, j
        if best is None or best < threshold:
            verdicts.append(-1)
        elif objects[image][chosen][1]:
            verdicts.append(0)
        elif taken[image][chosen]:
            verdicts.append(-1)
        else:
            taken[image][chosen] = True
            verdicts.append(1)
    return literal_ap(verdicts, positives, interpolation)


def literal_classification(scores, labels, interpolation):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return literal_ap([labels[i] for i in order], sum(label == 1 for label in labels), interpolation)
