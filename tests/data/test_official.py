"""The published files, in small: same formats, same places, own checksums."""

import gzip
import hashlib
import pickle
import re
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torchvision
from PIL import Image

from replicate.data import download, load, official, prepare
from replicate.errors import UserError
from replicate.specs.spec import Spec


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_batch(path: Path, images: np.ndarray, labels: np.ndarray, key: str = "labels") -> None:
    """As www.cs.toronto.edu/~kriz/cifar.html describes it: red, green, blue in rows of 3072."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.array(images).transpose(0, 3, 1, 2).reshape(len(images), -1)
    batch = {"batch_label": "1 of 1", key: labels.tolist(), "data": rows, "filenames": ["a.png"]}
    path.write_bytes(pickle.dumps(batch, protocol=2))


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_class_folders(root: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = root / split / f"class {label:03d}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(path)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(30)[::-1] % 10


@pytest.fixture
def cifar10(paper_spec) -> Spec:
    return paper_spec("cifar10", train_images=20, test_images=10, fingerprint=None)


@pytest.fixture
def batches(tmp_path: Path, images, labels, monkeypatch) -> Path:
    """A data folder with CIFAR-10 in three batches that torchvision takes for the official ones."""
    root = tmp_path / "official"
    folder = root / "cifar-10-batches-py"
    parts = {
        "data_batch_1": slice(0, 10),
        "data_batch_2": slice(10, 20),
        "test_batch": slice(20, 30),
    }
    for name, part in parts.items():
        write_batch(folder / name, images[part], labels[part])
    sums = [[name, md5(folder / name)] for name in parts]
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", sums[:2])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", sums[2:])
    return root


def test_batches_end_as_arrays(cifar10, batches, cache_dir, images, labels) -> None:
    data = load(prepare(cifar10, batches, cache_dir))
    assert data.source == "official"
    np.testing.assert_array_equal(data.train.images, images[:20])
    np.testing.assert_array_equal(data.test.labels, labels[20:])


def test_batches_and_class_folders_have_one_fingerprint(
    cifar10, batches, tmp_path, cache_dir, images, labels
) -> None:
    root = tmp_path / "folders"
    write_class_folders(root / "cifar10", "train", images[:20], labels[:20])
    write_class_folders(root / "cifar10", "test", images[20:], labels[20:])
    official, folder = (load(prepare(cifar10, place, cache_dir)) for place in (batches, root))
    assert (official.source, folder.source) == ("official", "folder")
    assert official.fingerprint == folder.fingerprint
    assert official.mean == folder.mean


@pytest.mark.realdata
def test_real_cifar10_written_as_batches_has_the_fingerprint_of_its_class_folders(
    paper_spec, real_data: Path, real_cache: Path, tmp_path: Path, monkeypatch
) -> None:
    spec = paper_spec("cifar10")
    folder = load(prepare(spec, real_data, real_cache))
    order = np.random.default_rng(0).permutation(50000)
    sums = []
    for i, part in enumerate([*np.split(order, 5), None], 1):
        path = tmp_path / "cifar-10-batches-py" / (f"batch_{i}" if part is not None else "test")
        split = folder.test if part is None else folder.train
        chosen = slice(None) if part is None else part
        write_batch(path, split.images[chosen], split.labels[chosen])
        sums.append([path.name, md5(path)])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", sums[5:])
    official = load(prepare(spec, tmp_path, tmp_path / "cache"))
    assert official.source == "official"
    assert not np.array_equal(official.train.images[:100], folder.train.images[:100])
    assert official.fingerprint == folder.fingerprint


def test_cifar100_batches_have_fine_labels(tmp_path: Path, images) -> None:
    path = tmp_path / "train"
    write_batch(path, images, np.arange(30) + 70, key="fine_labels")
    found, labels = official._read_batch(path)
    np.testing.assert_array_equal(found, images)
    assert labels.tolist() == list(range(70, 100))


def test_checksum_comes_before_the_pickle(cifar10, batches, cache_dir, monkeypatch) -> None:
    path = batches / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes()[:-10])
    monkeypatch.setattr(official, "_read_batch", pytest.fail)
    with pytest.raises(
        UserError, match=r"data_batch_2 is truncated or not the official file \(MD5"
    ):
        prepare(cifar10, batches, cache_dir)


def test_missing_batch(cifar10, batches, cache_dir) -> None:
    (batches / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(
        UserError, match=r"test_batch is missing: put it there, or remove .*-py and"
    ):
        prepare(cifar10, batches, cache_dir)


def test_unknown_labels(cifar10, tmp_path, cache_dir, images, labels, monkeypatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    write_batch(folder / "train", images[:20], labels[:20] + 1)
    write_batch(folder / "test", images[20:], labels[20:])
    for split in ("train", "test"):
        sums = [[split, md5(folder / split)]]
        monkeypatch.setattr(torchvision.datasets.CIFAR10, f"{split}_list", sums)
    with pytest.raises(UserError, match="train has labels from 1 to 10, cifar10 has 10 classes"):
        prepare(cifar10, tmp_path, cache_dir)


@pytest.fixture
def fashion(paper_spec) -> Spec:
    return paper_spec("fashion-mnist", train_images=20, test_images=10, fingerprint=None)


@pytest.fixture
def idx(tmp_path: Path, images, labels, monkeypatch) -> Path:
    """A data folder with Fashion-MNIST's four files."""
    folder = tmp_path / "FashionMNIST" / "raw"
    for prefix, part in (("train", slice(20)), ("t10k", slice(20, 30))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images[part, :28, :28, 0])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels[part].astype(np.uint8))
    resources = [(path.name, md5(path)) for path in sorted(folder.iterdir())]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    return tmp_path


@pytest.mark.parametrize("unpacked", [False, True])
def test_idx_files_end_as_arrays(fashion, idx, cache_dir, images, labels, unpacked: bool) -> None:
    if unpacked:
        for path in (idx / "FashionMNIST" / "raw").iterdir():
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    data = load(prepare(fashion, idx, cache_dir))
    assert data.source == "official"
    assert data.train.images.shape == (20, 28, 28, 1)
    np.testing.assert_array_equal(data.test.images[..., 0], images[20:, :28, :28, 0])
    np.testing.assert_array_equal(data.train.labels, labels[:20])


def test_truncated_idx(fashion, idx, cache_dir) -> None:
    path = idx / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(UserError, match=r"t10k-images.*truncated or not the official file"):
        prepare(fashion, idx, cache_dir)
    path.unlink()
    path.with_suffix("").write_bytes(gzip.decompress(whole)[:-10])
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte is no whole IDX file .*remove"):
        prepare(fashion, idx, cache_dir)


@pytest.fixture
def server(tmp_path: Path, monkeypatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served under."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def published(batches: Path, server, monkeypatch) -> Path:
    """CIFAR-10's archive on the server, as torchvision's CIFAR10 describes it."""
    folder, address = server
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(batches / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", address + archive.name)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", md5(archive))
    return archive


def test_download(cifar10, published, tmp_path, cache_dir, images) -> None:
    data_dir = tmp_path / "new" / "folder"
    data = load(prepare(cifar10, data_dir, cache_dir))
    np.testing.assert_array_equal(data.test.images, images[20:])
    assert visible(data_dir) == ["cifar-10-batches-py"]


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_archive_in_the_data_folder_needs_no_network(
    cifar10, published, tmp_path, cache_dir, monkeypatch
) -> None:
    monkeypatch.setattr(download, "download", pytest.fail)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    published.rename(data_dir / published.name)
    assert load(prepare(cifar10, data_dir, cache_dir)).source == "official"


def test_truncated_archive(cifar10, published, tmp_path, cache_dir) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / published.name).write_bytes(published.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cifar-10-python.tar.gz is truncated or not the official"):
        prepare(cifar10, data_dir, cache_dir)
    assert visible(data_dir) == [published.name]


def change(archive: Path) -> None:
    archive.write_bytes(b"maintenance, please come back later")


@pytest.mark.parametrize("break_it", [Path.unlink, change])
def test_failed_download(
    cifar10, published, tmp_path, cache_dir, break_it: Callable[[Path], None]
) -> None:
    break_it(published)
    data_dir = tmp_path / "data"
    with pytest.raises(UserError, match=r"download of http.* failed .*class folders.*--data-dir"):
        prepare(cifar10, data_dir, cache_dir)
    assert visible(data_dir) == []


def test_no_network(cifar10, tmp_path, cache_dir, monkeypatch) -> None:
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(UserError, match=r"download of http.* failed .*by hand") as caught:
        prepare(cifar10, tmp_path / "data", cache_dir)
    assert "\n" not in str(caught.value)


def test_fashion_mnist_download(fashion, idx, server, tmp_path, cache_dir, monkeypatch) -> None:
    folder, address = server
    for path in (idx / "FashionMNIST" / "raw").iterdir():
        path.rename(folder / path.name)
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
    data_dir = tmp_path / "data"
    assert load(prepare(fashion, data_dir, cache_dir)).train.images.shape == (20, 28, 28, 1)
    assert visible(data_dir) == ["FashionMNIST"]


def test_no_data_folder_is_given(cifar10, cache_dir) -> None:
    with pytest.raises(UserError, match="cifar10 needs real images: give --data-dir"):
        prepare(cifar10, None, cache_dir)


def test_data_folder_is_a_file(cifar10, tmp_path, cache_dir) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(UserError, match="data is a file: --data-dir takes a folder"):
        prepare(cifar10, tmp_path / "data", cache_dir)


def test_data_folder_is_the_data_set_itself(spec, data_dir, cache_dir) -> None:
    with pytest.raises(
        UserError, match=r"holds train itself: name it pets and give the folder abo"
    ):
        prepare(spec, data_dir / "pets", cache_dir)


def test_class_folders_missing_and_nothing_official(spec, tmp_path, cache_dir) -> None:
    with pytest.raises(UserError, match=r"data/pets is missing: put pets there as train/<class>"):
        prepare(spec, tmp_path / "data", cache_dir)


def test_download_folder_that_cannot_be_made(cifar10, tmp_path, cache_dir) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot take the download"):
        prepare(cifar10, tmp_path / "file" / "data", cache_dir)


@pytest.mark.parametrize(
    "place", [".", "FashionMNIST", "fashion-mnist", "fashion-mnist/FashionMNIST/raw"]
)
@pytest.mark.parametrize("unpacked", [False, True])
def test_idx_files_are_found_where_people_put_them(
    fashion, idx, cache_dir, images, place: str, unpacked: bool
) -> None:
    folder = idx / "data" / place
    folder.mkdir(parents=True)
    for path in (idx / "FashionMNIST" / "raw").iterdir():
        if unpacked:
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            path.rename(folder / path.name)
    data = load(prepare(fashion, idx / "data", cache_dir))
    np.testing.assert_array_equal(data.test.images[..., 0], images[20:, :28, :28, 0])


@pytest.mark.parametrize("place", [".", "cifar10"])
def test_batches_are_found_without_their_folder(
    cifar10, batches, tmp_path, cache_dir, place
) -> None:
    target = tmp_path / "data" / place
    target.parent.mkdir(exist_ok=True)
    (batches / "cifar-10-batches-py").rename(target)
    assert load(prepare(cifar10, tmp_path / "data", cache_dir)).source == "official"


def test_files_that_were_put_there_are_not_downloaded_again(
    fashion, idx, server, tmp_path, cache_dir, monkeypatch
) -> None:
    """The message names the first file that is missing; with the last one put there, all is well."""
    folder, address = server
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
    files = {path.name: path for path in (idx / "FashionMNIST" / "raw").iterdir()}
    last = files.pop("train-labels-idx1-ubyte.gz")
    for name, path in files.items():
        path.rename(data_dir / name)
    with pytest.raises(UserError, match=rf"failed .*: put {last.name} into {data_dir} by hand"):
        prepare(fashion, data_dir, cache_dir)
    last.rename(folder / last.name)
    assert load(prepare(fashion, data_dir, cache_dir)).train.images.shape == (20, 28, 28, 1)


def test_a_file_of_other_images_beside_the_rest_is_named_alone(fashion, idx, cache_dir) -> None:
    """Nothing tells to remove the folder that holds all data sets."""
    for path in (idx / "FashionMNIST" / "raw").iterdir():
        path.rename(idx / path.name)
    (idx / "FashionMNIST" / "raw").rmdir()
    broken = idx / "train-images-idx3-ubyte.gz"
    broken.with_suffix("").write_bytes(b"\0\0\x08")
    broken.unlink()
    with pytest.raises(UserError, match=r"no whole IDX file \(.*\): remove it and run again$"):
        prepare(fashion, idx, cache_dir)


class Silent(SimpleHTTPRequestHandler):
    """Sends half of a file, and then nothing more."""

    def copyfile(self, source, outputfile) -> None:
        outputfile.write(source.read(100))
        outputfile.flush()
        time.sleep(0.5)


def test_a_server_that_stops_sending(
    cifar10, published, tmp_path, cache_dir, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(SimpleHTTPRequestHandler, "copyfile", Silent.copyfile)
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"failed \(timed out\): put cifar-10-python.tar.gz into"):
        prepare(cifar10, tmp_path / "data", cache_dir)
    assert visible(tmp_path / "data") == []
    assert capsys.readouterr().err == f"downloading {torchvision.datasets.CIFAR10.url}\n"


def test_a_download_tells_how_far_it_is(
    cifar10, published, tmp_path, cache_dir, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(download, "SECONDS_BETWEEN_LINES", -1)
    prepare(cifar10, tmp_path / "data", cache_dir)
    assert re.search(r"^  0 of 0 MB$", capsys.readouterr().err, re.MULTILINE)


def test_what_a_killed_download_left_is_removed(cifar10, published, tmp_path, cache_dir) -> None:
    left = tmp_path / "data" / ".download-abc"
    left.mkdir(parents=True)
    (left / "half").touch()
    prepare(cifar10, tmp_path / "data", cache_dir)
    assert visible(tmp_path / "data") == ["cifar-10-batches-py"]
