#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an initramfs without being root.

usage: mkcpio.py OUTPUT.cpio[.gz] < LIST

LIST holds lines like those of the kernel's gen_init_cpio:
	file PATH SOURCE MODE
	dir PATH MODE
	nod PATH MODE c|b MAJOR MINOR
	slink PATH TARGET
Everything belongs to root, every time stamp is 0: the same input gives the
same bytes.
"""
import gzip
import os
import stat
import sys


def entry(ino, path, mode, data=b'', rdev=(0, 0)):
    name = path.lstrip('/').encode() + b'\0'
    head = '070701' + ''.join('%08x' % v for v in (
        ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0))
    blob = head.encode() + name
    blob += b'\0' * (-len(blob) % 4)
    return blob + data + b'\0' * (-len(data) % 4)


def main():
    out = []
    for ino, line in enumerate(sys.stdin, 1):
        word = line.split()
        if not word or word[0].startswith('#'):
            continue
        kind, path = word[0], word[1]
        if kind == 'file':
            with open(word[2], 'rb') as f:
                out.append(entry(ino, path, stat.S_IFREG | int(word[3], 8), f.read()))
        elif kind == 'dir':
            out.append(entry(ino, path, stat.S_IFDIR | int(word[2], 8)))
        elif kind == 'slink':
            out.append(entry(ino, path, stat.S_IFLNK | 0o777, word[2].encode()))
        elif kind == 'nod':
            fmt = stat.S_IFCHR if word[3] == 'c' else stat.S_IFBLK
            out.append(entry(ino, path, fmt | int(word[2], 8),
                             rdev=(int(word[4]), int(word[5]))))
        else:
            sys.exit('mkcpio.py: line %d starts with %r; want file, dir, slink or nod'
                     % (ino, kind))
    out.append(entry(0, 'TRAILER!!!', 0))
    tmp = sys.argv[1] + '.tmp'
    data = b''.join(out)
    if sys.argv[1].endswith('.gz'):
        # level 1: the guest under emulation pays for every byte unpacked
        data = gzip.compress(data, 1, mtime=0)
    with open(tmp, 'wb') as f:
        f.write(data)
    os.replace(tmp, sys.argv[1])


if __name__ == '__main__':
    main()
