"""Loads the `etcd3` package, whose generated code protobuf 4 and later refuse to run.

etcd3 0.12.0 (2020, its last release) carries modules written by an old `protoc`: importing
them is a TypeError.  The messages themselves are fine, so the same three modules are built
here from their serialized descriptors, by the builder that today's `protoc` output calls,
before etcd3 asks for them.  `descriptors.bin` is one `FileDescriptorSet` of what etcd3's own
`*_pb2.py` files hold (etcd's protocol, Apache-2.0); a test compares the two.
"""

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Library:
    """The two packages of etcd's v3 API; neither ships types."""

    etcd3: Any
    grpc: Any


@cache
def library() -> Library:
    """Import etcd3 and grpc; some 130 ms of a core, so it is left to those who use v3."""
    # gRPC's C core writes to fd 2 on its own, in the middle of a screen.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    _register()
    return Library(import_module("etcd3"), import_module("grpc"))


def _register() -> None:
    """Put the modules that etcd3 will import into `sys.modules`."""
    from google.protobuf import descriptor_pb2, descriptor_pool
    from google.protobuf.internal import builder

    pool = descriptor_pool.DescriptorPool()  # our own: `rpc.proto` is a name others use too
    files = descriptor_pb2.FileDescriptorSet()
    files.ParseFromString(resources.files(__package__).joinpath("descriptors.bin").read_bytes())
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
        name = f"etcd3.etcdrpc.{file.name.removesuffix('.proto')}_pb2"
        module = ModuleType(name)
        descriptor = pool.FindFileByName(file.name)
        vars(module)["DESCRIPTOR"] = descriptor
        builder.BuildMessageAndEnumDescriptors(descriptor, vars(module))
        builder.BuildTopDescriptorsAndMessages(descriptor, name, vars(module))
        sys.modules[name] = module
