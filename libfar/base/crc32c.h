/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC-32C (Castagnoli; polynomial 0x1EDC6F41 reflected, initial value and
 * final xor of all ones), as in iSCSI and ext4.  Uses the SSE4.2 instruction
 * where the processor has it, tables elsewhere.
 */
#ifndef LIBFAR_BASE_CRC32C_H
#define LIBFAR_BASE_CRC32C_H

#include "libfar/base/compiler.h"

/**
 * far_crc32c() - checksum of @len bytes, continuing from @crc
 * @crc: 0 to begin; the result for what came before to go on
 *
 * Of the nine bytes "123456789" it is 0xE3069283.
 *
 * Context: any thread, signal-safe; no allocation, no lock.
 * Return: the checksum; never fails.
 */
uint32_t far_crc32c(uint32_t crc, const void *buf, size_t len);

/** far_crc32c_table() - the same without the instruction; for tests */
uint32_t far_crc32c_table(uint32_t crc, const void *buf, size_t len);

#endif
