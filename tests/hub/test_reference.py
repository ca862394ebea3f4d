"""What names mean: folders first, then models on the hub; nothing leaves the folder it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from methods.errors import UsageError, WeightsError
from methods.hub.reference import HubId, check_filename, parse

GOOD = {
    "stabilityai/sdxl-turbo": HubId("stabilityai/sdxl-turbo"),
    "stabilityai/sdxl-turbo@v1.0": HubId("stabilityai/sdxl-turbo", "v1.0"),
    "a/b@refs/pr/3": HubId("a/b", "refs/pr/3"),
    "Owner/Some_name.v2/sub/four.safetensors@main": HubId("Owner/Some_name.v2", "main", "sub/four.safetensors"),
}


@pytest.mark.parametrize(("text", "hub_id"), GOOD.items())
def test_hub_ids(text: str, hub_id: HubId) -> None:
    assert parse(text) == hub_id
    assert parse(str(hub_id)) == hub_id


@pytest.mark.parametrize(
    "text",
    [
        "owner/..", "../x/y@main/../../z", "owner/na..me", "owner/name@../../etc", "owner/name@-x", "owner/name@",
        "owner/name/../../x.safetensors", "owner/name//x.safetensors", "owner/name/model.json", "models--a/b",
        "owner/name.git", "a/b@x y", "owner/ name", "ow\nner/name",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_and_never_a_path_outside(text: str) -> None:
    if text.startswith("."):  # a path of the user's own, which is not there
        assert parse(text) == Path(text)
        return
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["model.ckpt", "owner/name/model.bin", "./x.pt"])
def test_a_pickle_is_refused_by_name(text: str) -> None:
    with pytest.raises(WeightsError, match="a pickle can run code when it is read"):
        parse(text)


def test_what_lies_on_the_disk_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/name").mkdir(parents=True)
    assert parse("owner/name") == Path("owner/name")
    assert parse("owner/other") == HubId("owner/other")


@pytest.mark.parametrize("name", ["", "../a", "a/../../b", "/etc/passwd", "a//b", "C:/x", "a\\b", "."])
def test_files_stay_inside_their_model(name: str) -> None:
    with pytest.raises(UsageError, match="name a file inside it"):
        check_filename(name)
    assert check_filename("unet/model.safetensors") == "unet/model.safetensors"
