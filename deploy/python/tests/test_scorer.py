"""Batches in, batches out; a broken image is a value."""

import hashlib
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from classifold import ArgumentError, Classifier, Encoder, ImageError, ModelError, Scorer


@pytest.fixture(scope="module")
def contents():
    """Files as they are: two pictures, a text, and nothing."""
    picture = lambda level: b"P6 3 2 255 " + bytes([level, 9, 200] * 6)
    return [picture(10), b"a text", picture(250), None]


def test_a_dict_of_arrays(model, contents):
    batch = {"id": np.arange(4), "bytes": np.array(contents, dtype=object)}
    answers = Scorer(model)(batch)
    assert list(answers) == ["id", "bytes", "label", "probability", "margin", "error"]
    assert [error is None for error in answers["error"]] == [True, False, True, False]
    probabilities = Classifier(model).probabilities([contents[0], contents[2]])
    np.testing.assert_allclose(answers["probability"][[0, 2]], probabilities.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(answers["margin"][[0, 2]], np.ptp(probabilities, axis=1), atol=1e-6)
    assert np.isnan(answers["probability"][[1, 3]]).all()
    assert answers["label"][1] is None and answers["label"][0] in ("ants", "bees")


@pytest.mark.parametrize("form", [pyarrow.RecordBatch, pyarrow.Table])
def test_arrow(model, contents, form):
    batch = form.from_pydict({"id": [1, 2, 3, 4], "bytes": contents})
    answers = Scorer(model)(batch)
    assert isinstance(answers, form)
    assert answers.schema.names == ["id", "bytes", "label", "probability", "margin", "error"]
    assert [value is None for value in answers.column("label").to_pylist()] == [False, True, False, True]
    assert answers.column("probability").null_count == 2
    assert answers.column("error").null_count == 2


def test_an_empty_batch_has_the_same_columns(model):
    answers = Scorer(model)({"bytes": np.array([], dtype=object)})
    assert list(answers) == ["bytes", "label", "probability", "margin", "error"]


def test_a_column_that_is_not_there_is_named(model):
    with pytest.raises(ArgumentError, match="no column bytes or path; it has id"):
        Scorer(model)({"id": np.arange(2)})
    with pytest.raises(ArgumentError, match="no column picture"):
        Scorer(model, column="picture")({"bytes": np.array([b""], dtype=object)})


def test_features_on_request(model, contents):
    expected = Classifier(model).features([contents[0], contents[2]])
    answers = Scorer(model, features=True)({"bytes": np.array(contents, dtype=object)})
    np.testing.assert_allclose(answers["features"][[0, 2]], expected, atol=1e-6)
    assert np.isnan(answers["features"][[1, 3]]).all()
    column = Scorer(model, features=True)(pyarrow.table({"bytes": contents})).column("features").to_pylist()
    assert column[1] is None and column[3] is None
    np.testing.assert_allclose([column[0], column[2]], expected, atol=1e-6)


def test_a_scorer_is_pickled_with_what_it_was_asked_for(model, contents):
    copy = pickle.loads(pickle.dumps(Scorer(model, features=True)))
    assert "features" in copy({"bytes": np.array(contents, dtype=object)})


@pytest.fixture(scope="module")
def cut(model, deploy, tmp_path_factory):
    """The model's backbone, cut at its features."""
    out = tmp_path_factory.mktemp("cut") / "cut.onnx"
    subprocess.run([deploy, "cut", "--quiet", model, out], check=True)
    return str(out)


def test_a_cut_backbone_gives_features_and_whose_they_are(model, cut, contents):
    expected = Classifier(model).features([contents[0], contents[2]])
    answers = Scorer(cut)({"id": np.arange(4), "bytes": np.array(contents, dtype=object)})
    assert list(answers) == ["id", "bytes", "features", "backbone", "error"]
    np.testing.assert_array_equal(answers["features"][[0, 2]], expected)
    assert [error is None for error in answers["error"]] == [True, False, True, False]
    table = pickle.loads(pickle.dumps(Scorer(cut)))(pyarrow.table({"bytes": contents}))
    assert table.column("features").null_count == 2
    sha256 = hashlib.sha256(Path(model).read_bytes()).hexdigest()
    for origin in [*table.column("backbone").to_pylist(), Encoder(cut).backbone, Encoder(model).backbone]:
        assert origin.startswith(f"{sha256} ") and "| decode(rgb" in origin


def test_an_encoder_has_the_features_of_its_classifier(model, cut, contents):
    encoder, images = Encoder(cut, threads=1), [contents[0], contents[2], contents[0]]
    features = encoder.features(images, normalize=True)
    assert features.shape == (3, encoder.width) and features.dtype == np.float32
    np.testing.assert_array_equal(features, Classifier(model).features(images, normalize=True))
    np.testing.assert_array_equal(encoder.features(images[0]), encoder.features(images)[0])
    assert encoder.features([]).shape == (0, encoder.width)
    with pytest.raises(ImageError, match="image 1"):
        encoder.features([images[0], b"a text"])
    with pytest.raises(ModelError, match="gives the features of an image, and no classes"):
        Classifier(cut)


def test_features_of_a_classifier_have_their_origin(model, contents):
    table = Scorer(model, features=True)(pyarrow.table({"bytes": contents}))
    assert table.schema.names == ["bytes", "label", "probability", "margin", "features", "backbone", "error"]
