"""One answer, whatever form an image comes in; errors that say what to do."""

import io
import json
import os
import pickle
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image

import classifold
from classifold import ArgumentError, Classifier, ImageError, ModelError, RuntimeLibraryError


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier(model)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture that is not square, as a PNG file."""
    path = tmp_path_factory.mktemp("picture") / "bee.png"
    pixels = np.random.default_rng(0).integers(0, 256, (37, 52, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_photos_give_the_bits_of_deploy_predict_in_every_form(classifier, model, photos, deploy):
    command = [deploy, "predict", "--model", model, "--format", "jsonl", "--top-k", "2", "--quiet", *photos]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    expected = {}
    for line in lines:
        answer = json.loads(line)
        expected[answer["path"]] = {c["label"]: np.float32(c["probability"]) for c in answer["top"]}
    wanted = np.array([[expected[path][name] for name in classifier.classes_] for path in photos])
    assert wanted.shape == (153, 2)
    contents = [open(path, "rb").read() for path in photos]
    pil = (Image.open(path) for path in photos)
    arrays = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents)
    for name, images in [("path", photos), ("bytes", contents), ("PIL", pil), ("array", arrays)]:
        found = classifier.probabilities(images)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted, err_msg=name)


def test_one_image_gives_one_prediction(classifier, picture):
    prediction = classifier.predict(picture)
    assert prediction.label in classifier.classes_
    assert prediction.probability == prediction.probabilities.max()
    assert prediction.top(1) == [(prediction.label, prediction.probability)]
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert 0 <= prediction.margin <= 1
    assert prediction.label in repr(prediction)
    several = classifier.predict([picture] * 3)
    np.testing.assert_array_equal(several[2].probabilities, prediction.probabilities)


def test_no_images_give_an_empty_array(classifier):
    assert classifier.predict([]) == []
    assert classifier.probabilities([]).shape == (0, 2)
    assert classifier.preprocess([]).shape == (0, *classifier.input_shape)


def test_rows_stay_in_order_with_threads_and_sessions(model, tmp_path):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (20 + i % 7, 31, 3), dtype=np.uint8) for i in range(131)]
    one = Classifier(model, threads=1).logits(images)
    many = Classifier(model, threads=3, sessions=3).logits(iter(images))
    assert one.shape == (131, 2)
    np.testing.assert_allclose(many, one, atol=1e-5)
    assert np.ptp(one[:, 0]) > 0


def test_many_threads_share_one_classifier(classifier, picture):
    expected, found = classifier.logits(picture), []
    threads = [threading.Thread(target=lambda: found.append(classifier.logits(picture))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for logits in found:
        np.testing.assert_array_equal(logits, expected)


def test_arrays_of_every_kind_are_what_pil_makes_of_them(classifier):
    rng = np.random.default_rng(2)
    gray = rng.integers(0, 256, (30, 41), dtype=np.uint8)
    repeated = np.repeat(gray[:, :, None], 3, axis=2)
    for other in [gray, gray[:, :, None], Image.fromarray(gray), repeated[::1]]:
        np.testing.assert_array_equal(classifier.logits(other), classifier.logits(repeated))
    mirrored = repeated[:, ::-1]
    assert not mirrored.flags.c_contiguous
    np.testing.assert_array_equal(classifier.logits(mirrored), classifier.logits(mirrored.copy()))
    for mode in ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LA"]:
        image = Image.fromarray(repeated).convert(mode)
        expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(classifier.logits(image), classifier.logits(expected), err_msg=mode)


def test_a_pil_image_is_turned_upright_as_its_file_is(classifier, tmp_path):
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    path = tmp_path / "turned.png"
    np.testing.assert_array_equal(classifier.logits(Image.open(path)), classifier.logits(path))
    as_stored = np.asarray(image)
    assert not np.array_equal(classifier.logits(as_stored), classifier.logits(path))


def test_preprocess_gives_what_the_model_takes(classifier, picture):
    one = classifier.preprocess(picture)
    assert one.shape == (1, *classifier.input_shape) and one.dtype == np.float32
    three = classifier.preprocess([picture, picture, np.asarray(Image.open(picture))])
    for row in three:
        np.testing.assert_array_equal(row, one[0])


def test_a_model_may_be_bytes(model, classifier, picture):
    with open(model, "rb") as file:
        other = Classifier(file.read())
    np.testing.assert_array_equal(other.logits(picture), classifier.logits(picture))


def test_the_card_is_read(classifier):
    card = classifier.card
    assert card.classes == list(classifier.classes_) == ["ants", "bees"]
    assert card.task == "classify" and card.output_kind == "logits"
    assert card.preprocess[0] == {"step": "decode", "color": "rgb", "exif": True}
    assert classifier.preprocess_text.startswith("decode(rgb, exif)|")
    assert "golden" in card.values
    assert card.scores["test"]["count"] > 0


def test_errors_name_the_image_and_have_a_class_of_their_own(classifier, model, picture, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match="image 1: .*broken.jpg"):
        classifier.predict([picture, broken])
    with pytest.raises(ImageError, match="missing.jpg"):
        classifier.predict("missing.jpg")
    with pytest.raises(ArgumentError, match="float64.*\nhint: "):
        classifier.predict(np.zeros((4, 5, 3)))
    with pytest.raises(ArgumentError, match=r"\[4, 5, 2\]"):
        classifier.predict(np.zeros((4, 5, 2), np.uint8))
    with pytest.raises(ArgumentError, match="not int"):
        classifier.predict([7])
    with pytest.raises(ModelError, match="broken.jpg"):
        Classifier(broken)
    with pytest.raises(RuntimeLibraryError, match="no-such-library"):
        Classifier(model, runtime="/no-such-library.so")
    with pytest.raises(ArgumentError):
        Classifier(model, provider="abacus")
    with pytest.raises(ArgumentError, match="abacus"):
        Classifier(model, output_kind="abacus")
    with pytest.raises(ArgumentError, match="at least 1"):
        Classifier(model, threads=0)
    assert issubclass(ArgumentError, ValueError) and issubclass(ImageError, classifold.Error)


def test_evaluate_scores_as_deploy_eval_does(classifier, run, model, photos, deploy, tmp_path):
    data = os.path.dirname(os.path.dirname(os.path.dirname(photos[0])))
    json_file = tmp_path / "eval.json"
    command = [deploy, "eval", "--model", model, "--data", data, "--json", str(json_file), "--quiet"]
    subprocess.run(command, check=True, capture_output=True)
    expected = json.loads(json_file.read_text())
    found = classifold.evaluate(classifier, data)
    assert (found.accuracy, found.count, list(found.interval)) == (
        expected["accuracy"], expected["count"], expected["interval"],
    )
    assert found.confusion.tolist() == expected["confusion"]
    assert found.logits.shape == (found.count, 2) and not found.unreadable
    with pytest.raises(ArgumentError, match="nonsense"):
        classifold.evaluate(classifier, data, split="nonsense")


def test_a_scorer_is_pickled_as_its_arguments(model, picture):
    scorer = pickle.loads(pickle.dumps(classifold.Scorer(model)))
    answer = scorer({"path": np.array([str(picture)], dtype=object)})
    assert answer["error"][0] is None and answer["label"][0] in ("ants", "bees")


def test_features_are_those_of_deploy_embed(classifier, model, photos, deploy, tmp_path):
    out = tmp_path / "features.npy"
    command = [deploy, "embed", "--model", model, "--out", out, "--quiet", *photos[:19]]
    subprocess.run(command, check=True, capture_output=True)
    expected = np.load(out)
    found = classifier.features(photos[:19])
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    order = [str(path) for path in photos[:19]]
    rows = out.with_suffix(".txt").read_text().splitlines()
    np.testing.assert_array_equal(found[[order.index(row) for row in rows]], expected)
    unit = classifier.features(photos[0], normalize=True)
    assert unit.shape == expected.shape[1:]
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(found[0]) != pytest.approx(1, abs=1e-2)
    assert classifier.features([]).shape == (0, expected.shape[1])
    with pytest.raises(ImageError, match="image 1"):
        classifier.features([photos[0], b"a text"])
