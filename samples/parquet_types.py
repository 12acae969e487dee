"""The types of Parquet and Arrow data: recorded with a run, and given back to what is exported.

A run records its records as JSON, which has no timestamps or decimals and one kind of integer. So the data's
schema is recorded too. A column that is exported under its own name, or as `original_` and its name, has the
type that it had, and Hugging Face's features are written for all columns where the data had some.
"""

import datetime
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from samples.neighbors import ORIGINAL

HUGGING_FACE = b"huggingface"

_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def recorded_schema(files: Iterable[tuple[Path, bool]]) -> str | None:
    """Return the schema of Parquet files, or Arrow files where that is true, as text; None if they differ."""
    schema: Any = None
    try:
        for path, arrow in files:
            found = _arrow_schema(path) if arrow else pq.read_schema(path)
            schema = (
                found if schema is None else pa.unify_schemas([schema, found], promote_options="permissive")
            )
    except (pa.ArrowException, OSError):
        return None
    return None if schema is None else b64encode(schema.serialize()).decode()


def read_schema(text: str) -> Any:
    """Return what `recorded_schema` was given; None if it is damaged."""
    try:
        return pa.ipc.read_schema(pa.py_buffer(b64decode(text)))
    except (pa.ArrowException, OSError, ValueError):
        return None


def known_to_datasets(types: str) -> str | None:
    """Return a recorded schema without the columns whose types `datasets` has not, such as maps.

    It could not read a file with one. Their values are then written as any others without a type.
    """
    from datasets import Features

    schema = read_schema(types)
    for field in schema or ():
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except (ValueError, TypeError, NotImplementedError):
            schema = schema.remove(schema.get_field_index(field.name))
    return None if schema is None else b64encode(schema.serialize()).decode()


def _arrow_schema(path: Path) -> Any:
    with pa.memory_map(str(path)) as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        return (pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)).schema


def typed(name: str, values: list[Any], schema: Any) -> Any:
    """Return values as a column of the type that a schema has for it; None if there is none or it is no use.

    Objects in it may have more fields than they had.
    """
    known = _known(schema.names, name)
    if known is None:
        return None
    type_ = schema.field(known).type
    try:
        type_ = _extended(type_, values)
        restore = _restorer(type_)
        return pa.array(values if restore is None else [restore(value) for value in values], type=type_)
    except (pa.ArrowException, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def arranged(schema: Any, source: Any) -> Any:
    """Return the schema of an export in the order of the data's schema, if it has no other columns."""
    names = {name: number for number, name in enumerate(source.names)}
    if not all(_known(source.names, name) for name in schema.names):
        return schema

    def position(field: Any) -> tuple[int, bool]:
        return names[_known(source.names, field.name) or ""], field.name not in names

    return pa.schema(sorted(schema, key=position))


def with_metadata(schema: Any, source: Any) -> Any:
    """Return the schema of an export with the metadata of the data's schema, as far as it fits."""
    metadata = dict(source.metadata or {})
    if set(schema.names) != set(source.names):
        metadata.pop(b"pandas", None)  # which names columns
    if HUGGING_FACE in metadata:
        features = _features(schema, source, metadata.pop(HUGGING_FACE))
        if features is not None:
            metadata[HUGGING_FACE] = json.dumps({"info": {"features": features}}).encode()
    fields = []
    for field in schema:
        own = source.field(field.name) if field.name in source.names else None
        fields.append(field.with_metadata(own.metadata) if own is not None and own.metadata else field)
    return pa.schema(fields, metadata or None)


def _known(names: list[str], name: str) -> str | None:
    """Return the name of the column whose values these are."""
    if name in names:
        return name
    before = name.removeprefix(ORIGINAL)
    return before if before in names else None


def _extended(type_: Any, values: Iterable[Any]) -> Any:
    """Return a type with the fields that objects among the values have and it has not."""
    present = [value for value in values if value is not None]
    if pa.types.is_struct(type_):
        fields = {field.name: field for field in type_}
        found: dict[str, list[Any]] = {name: [] for name in fields}
        for value in present:
            for name, inner in value.items():
                found.setdefault(name, []).append(inner)
        extended = []
        for name, inner_values in found.items():
            known = _known(list(fields), name)
            inner = _extended(fields[known].type, inner_values) if known else pa.infer_type(inner_values)
            extended.append(fields[name].with_type(inner) if name in fields else pa.field(name, inner))
        return pa.struct(extended)
    if _is_list(type_) and (pa.types.is_struct(type_.value_type) or _is_list(type_.value_type)):
        return _list_of(type_, _extended(type_.value_type, [item for value in present for item in value]))
    return type_


def _is_list(type_: Any) -> bool:
    return any(is_list(type_) for is_list in _LISTS)


def _list_of(type_: Any, item_type: Any) -> Any:
    """Return a type of lists with items of another type."""
    field = type_.value_field.with_type(item_type)
    if pa.types.is_large_list(type_):
        return pa.large_list(field)
    return pa.list_(field, type_.list_size if pa.types.is_fixed_size_list(type_) else -1)


def as_numbers(array: Any) -> Any:
    """Return an array with the stored numbers of its times, dates and durations.

    They may be beyond those of Python (the years 1 to 9999), or in an unknown time zone.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array.cast(_type_of_numbers(array.type))


def _type_of_numbers(type_: Any) -> Any:
    if pa.types.is_date32(type_):
        return pa.int32()
    if pa.types.is_timestamp(type_) or pa.types.is_date64(type_) or pa.types.is_duration(type_):
        return pa.int64()
    if pa.types.is_dictionary(type_):
        return _type_of_numbers(type_.value_type)
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_type_of_numbers(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(_type_of_numbers(type_.key_type), _type_of_numbers(type_.item_type))
    if _is_list(type_):
        return _list_of(type_, _type_of_numbers(type_.value_type))
    return type_


def _restorer(type_: Any) -> Callable[[Any], Any] | None:
    """Return how a value of this type is made from what `to_json` wrote; None if it is that."""
    if any(is_plain(type_) for is_plain in _PLAIN):
        return None
    restore: Callable[[Any], Any] | None = None
    if pa.types.is_struct(type_):
        inner = {field.name: make for field in type_ if (make := _restorer(field.type))}
        if not inner:
            return None

        def of_struct(value: Any) -> Any:
            return value | {name: make(value[name]) for name, make in inner.items() if name in value}

        restore = of_struct
    elif pa.types.is_map(type_):
        key, item = (_restorer(each) or _same for each in (type_.key_type, type_.item_type))
        restore = lambda value: [(key(k), item(v)) for k, v in value]  # noqa: E731
    elif _is_list(type_):
        of_item = _restorer(type_.value_type)
        restore = of_item and (lambda value: [of_item(each) for each in value])
    elif pa.types.is_dictionary(type_):
        restore = _restorer(type_.value_type)
    elif pa.types.is_timestamp(type_) and type_.unit == "ns":  # Python's own has microseconds
        restore = _or_number(lambda value: pa.scalar(value).cast(type_).value)
    elif pa.types.is_timestamp(type_):
        restore = _or_number(datetime.datetime.fromisoformat)
    elif pa.types.is_date(type_):
        restore = _or_number(datetime.date.fromisoformat)
    elif pa.types.is_time(type_):
        restore = datetime.time.fromisoformat
    elif pa.types.is_duration(type_):
        restore = _or_number(lambda value: datetime.timedelta(seconds=float(value.removesuffix(" s"))))
    elif pa.types.is_decimal(type_):
        restore = Decimal
    elif pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        restore = b64decode
    return None if restore is None else (lambda value: None if value is None else restore(value))


def _or_number(restore: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return how a value is made that may be one of `as_numbers`."""
    return lambda value: value if isinstance(value, int) else restore(value)


def _same(value: Any) -> Any:
    return value


def _features(schema: Any, source: Any, found: bytes) -> dict[str, Any] | None:
    """Return Hugging Face's features of a schema from those that the data had; None if some have none."""
    try:
        known = json.loads(found)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(known, dict):
        return None
    features = {}
    for field in schema:
        name = _known(source.names, field.name)
        features[field.name] = _feature(
            field.type, known.get(name) if name else None, source.field(name).type if name else None
        )
    return features if all(feature is not None for feature in features.values()) else None


def _feature(type_: Any, known: Any, before: Any) -> Any:
    """Return the feature for a type, which extends the type `before` with its `known` feature."""
    if known is not None and type_ == before:
        return known
    if pa.types.is_struct(type_):
        inner: Any = known if isinstance(known, Mapping) and "_type" not in known else {}
        types = {field.name: field.type for field in before} if before is not None else {}
        features = {}
        for field in type_:
            name = _known(list(types), field.name)
            features[field.name] = _feature(
                field.type, inner.get(name) if name else None, types.get(name) if name else None
            )
        return features if all(feature is not None for feature in features.values()) else None
    if _is_list(type_):
        of_list = before is not None and _is_list(before)
        wrapped = isinstance(known, Mapping) and "feature" in known
        inner = known["feature"] if wrapped else known[0] if isinstance(known, list) and known else None
        inner = _feature(type_.value_type, inner, before.value_type if of_list else None)
        if inner is None:
            return None
        return {**known, "feature": inner} if wrapped else [inner]
    name = _DTYPES.get(str(type_), str(type_))
    is_value = any(is_plain(type_) for is_plain in _PLAIN) or pa.types.is_temporal(type_)
    return {"dtype": name, "_type": "Value"} if is_value or str(type_) in _DTYPES else None


_DTYPES = {
    **{"double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date32"},
    **{"date64[ms]": "date64", "binary": "binary", "large_string": "large_string", "null": "null"},
}
"""How Hugging Face names types that Arrow names otherwise."""
