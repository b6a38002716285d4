/* SPDX-License-Identifier: BSD-3-Clause */
/* Linked statically: no preload reaches it, far run has to say so. */
int main(void)
{
	return 0;
}
