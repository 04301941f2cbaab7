import torch

from ddp_video.model.detection import Detections
from ddp_video.model.duplicates import first_of_each, merge_duplicates


def detections(boxes, image=None, size=(20, 30)):
    """People of box-shaped masks (left, top, right, bottom) in cells, best first; M_dp is 1 less than M_ins."""
    masks = torch.full((len(boxes), *size), -5.0)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 2.0
    image = torch.tensor(image or [0] * len(boxes))
    corners = 4.0 * torch.tensor(boxes).reshape(-1, 4)
    people = Detections(image, torch.arange(len(boxes)), corners, torch.linspace(0.9, 0.5, len(boxes)))
    return people, torch.stack([masks, masks - 1], 1)


def test_one_person_in_pieces_is_joined():
    """The whole, a shifted whole, and his upper body; and somebody beside him who overlaps a little."""
    people, masks = detections([(2, 2, 10, 18), (3, 3, 11, 19), (3, 2, 9, 8), (9, 2, 17, 18)])
    joined, joined_masks = merge_duplicates(people, masks)
    assert joined.location.tolist() == [0, 3]
    assert joined.boxes_xyxy.tolist() == [[8, 8, 44, 76], [36, 8, 68, 72]]
    assert torch.equal(joined_masks[0], masks[:3].amax(0)) and torch.equal(joined_masks[1], masks[3])
    assert torch.equal((joined_masks[:, 0] > 0).any(0), (masks[:, 0] > 0).any(0))


def test_people_of_different_pictures_and_empty_masks_stay():
    people, masks = detections([(2, 2, 10, 18), (0, 0, 0, 0), (0, 0, 0, 0), (2, 2, 10, 18)], image=[0, 0, 1, 1])
    joined, joined_masks = merge_duplicates(people, masks)
    assert torch.equal(joined.location, people.location) and torch.equal(joined_masks, masks)
    for count in (0, 1):
        people, masks = detections([(2, 2, 10, 18)] * count)
        assert merge_duplicates(people, masks)[1] is masks


def test_a_chain_ends_at_who_stays():
    """The third is like the second, which is like the first; it is not like the first, and stays."""
    _, masks = detections([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)])
    assert first_of_each(masks[:, 0] > 0, torch.zeros(3, dtype=torch.int64)).tolist() == [0, 0, 2]


def test_large_masks_are_counted_exactly_under_autocast():
    masks = torch.zeros(2, 100, 100, dtype=torch.bool)
    masks[0], masks[1, :39] = True, True
    masks[0, 28:30] = False
    image = torch.zeros(2, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16):
        found = first_of_each(masks, image)
    assert torch.equal(found, first_of_each(masks, image))
