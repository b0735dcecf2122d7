#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone_classes.py [-c URI] DOMAIN [FILE]: libpzone in Python, by ctypes.

Shows the classes that the domain's XML defines; with FILE it defines the classes
of that file first, checked by libpzone. Needs python3-libvirt and libpzone.so.0
(LD_LIBRARY_PATH=build/lib when it is not installed).
"""
import ctypes
import sys

import libvirt

lib = ctypes.CDLL("libpzone.so.0")
p = ctypes.c_void_p


class Error(ctypes.Structure):
    """struct pzone_error"""
    _fields_ = [("code", ctypes.c_int), ("libvirt_code", ctypes.c_int), ("message", ctypes.c_char * 1016)]


class Def(ctypes.Structure):
    """struct pzone_def; it may grow at its end, and is only read through a pointer."""
    _fields_ = [("name", ctypes.c_char_p), ("pool", ctypes.c_char_p), ("size_bytes", ctypes.c_uint64),
                ("guarantee_bytes", ctypes.c_uint64), ("limit_bytes", ctypes.c_uint64),
                ("has_guarantee", ctypes.c_bool), ("has_limit", ctypes.c_bool), ("line", ctypes.c_uint),
                ("align_bytes", ctypes.c_uint64), ("weight", ctypes.c_uint), ("has_weight", ctypes.c_bool)]


def declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments
    return function


init = declare("pzone_init", ctypes.c_int, p)
parse_file = declare("pzone_defs_parse_file", ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(p), p)
parse_domain = declare("pzone_defs_parse_domain", ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(p), p)
define = declare("pzone_domain_define", ctypes.c_int, p, p, ctypes.c_uint, p)
defs_get = declare("pzone_defs_get", ctypes.POINTER(Def), p, ctypes.c_size_t)
defs_free = declare("pzone_defs_free", p, p)


def call(function, *arguments):
    """Call one that takes a struct pzone_error last; raise what it says."""
    error = Error()
    if function(*arguments, ctypes.byref(error)) < 0:
        sys.exit("error: " + error.message.decode())


def c_domain(domain):
    """The virDomainPtr inside libvirt-python's object."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = p, (ctypes.py_object, ctypes.c_char_p)
    return get(domain._o, b"virDomainPtr")


def main(args):
    uri = None
    if args[:1] == ["-c"]:
        uri, args = args[1], args[2:]
    if not args:
        sys.exit(__doc__)
    libvirt.registerErrorHandler(lambda _ctx, _error: None, None)
    call(init)
    domain = libvirt.open(uri).lookupByName(args[0])
    defs = p()
    if len(args) > 1:
        call(parse_file, args[1].encode(), ctypes.byref(defs))
        call(define, c_domain(domain), defs, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        defs_free(defs)
    call(parse_domain, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).encode(), ctypes.byref(defs))
    index = 0
    while defs_get(defs, index):
        d = defs_get(defs, index).contents
        print(d.name.decode(), d.pool.decode(), d.size_bytes, d.weight)
        index += 1
    defs_free(defs)


main(sys.argv[1:])
