/*-------------------------------------------------------------------------
 *
 * number_fuzz.c
 *	  Any bytes as a number: the scanner and strtof() must agree on what it
 *	  is and where it ends, and the integer scanner must stay within them.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vector/vector_number.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
promise(int kept)
{
	if (!kept)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);
	char	   *want_end;
	const char *end;
	float		want;
	float		value = 0;
	int32_t		number;
	PirNumberStatus status;

	memcpy(text, data, size);
	text[size] = '\0';

	status = pir_number_scan_float(text, &end, &value);
	promise(end >= text && end <= text + size);
	promise((status == PIR_NUMBER_MISSING) == (end == text));
	promise(status != PIR_NUMBER_OK || isfinite(value));

	errno = 0;
	want = strtof(text, &want_end);
	if (status != PIR_NUMBER_MISSING)
	{
		promise(end == want_end);
		promise(isnan(want) ? status == PIR_NUMBER_NAN : memcmp(&value, &want, sizeof(value)) == 0);
	}
	else
	{
		/* strtof() skips white space and the scanner does not */
		promise(want_end == text || strchr(" \t\n\v\f\r", text[0]) != NULL);
	}

	if (pir_number_scan_int32(text, &end, &number))
		promise(end > text && end <= text + strspn(text, "+-0123456789"));
	else
		promise(end == text);

	free(text);
	return 0;
}
