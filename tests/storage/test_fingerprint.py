from pathlib import Path

from xdr.storage.fingerprint import checksum_file, fingerprint


def test_the_order_of_keys_does_not_matter_and_every_value_does() -> None:
    assert fingerprint({"a": 1, "b": ["x", None]}) == fingerprint({"b": ["x", None], "a": 1})
    assert len({fingerprint(value) for value in (1, "1", 1.5, True, None, [1], {"a": 1})}) == 7


def test_a_checksum_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert checksum_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
