/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * count.S: a firmware that is all the guest there is. It counts, in a word of
 * the machine's RAM and in the first word of a pool at 4 GiB, for ever.
 */
	.code16
	.org 0xff00
start:	lgdtl	%cs:gdtr
	movl	$1, %eax
	movl	%eax, %cr0			# protected mode
	ljmpl	$8, $0xffff0000 + start32
	.code32
start32:
	movl	$16, %eax
	movl	%eax, %ds
	movl	$0x1000, %edi			# the page directory; pages of 4 MiB:
	movl	$0x83, (%edi)			# 0 is RAM
	movl	$0x2083, 0x400(%edi)		# 0x40000000 is the pool: bit 13 means 4 GiB (PSE-36)
	movl	$0xffc00083, 0xffc(%edi)	# the last one has this ROM
	movl	%edi, %cr3
	movl	$0x10, %eax
	movl	%eax, %cr4			# PSE
	movl	$0x80000001, %eax
	movl	%eax, %cr0			# paging
	xorl	%eax, %eax
1:	incl	%eax
	movl	%eax, 0x2000
	movl	%eax, 0x40000000
	jmp	1b

	.balign	4
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:	.word	23
	.long	0xffff0000 + gdt

	.org	0xfff0				# where the CPU starts
	.code16
	jmp	start
	.org	0x10000
