/*-------------------------------------------------------------------------
 *
 * regression_driver.c
 *	  Replay a corpus through one fuzz target, without a fuzzing engine.
 *
 * Usage: X_fuzz DIRECTORY. Every file of the directory is one test (TAP), and
 * one more is NRANDOM inputs made from a fixed seed: random bytes, and files
 * of the directory with a few bytes changed or cut off. The target aborts, or
 * a sanitizer does, if an input breaks its promise.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define NRANDOM			5000
#define MAX_RANDOM_SIZE	4096

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Read a whole file into memory of exactly its size; NULL if that fails. */
static uint8_t *
read_file(const char *path, size_t *size)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data = NULL;
	long		length;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0)
	{
		*size = (size_t) length;
		data = malloc(*size + (*size == 0));
		if (data != NULL && fread(data, 1, *size, file) != *size)
		{
			free(data);
			data = NULL;
		}
	}
	fclose(file);
	return data;
}

/* Run the target on one made-up input; 'kept' is a file's content or NULL. */
static void
run_random(uint64_t *state, const uint8_t *kept, size_t kept_size)
{
	size_t		size = kept != NULL ? kept_size : (size_t) (unit_random(state) % (MAX_RANDOM_SIZE + 1));
	uint8_t    *data;

	if (kept != NULL && unit_random(state) % 4 == 0)
		size = (size_t) (unit_random(state) % (size + 1));
	data = malloc(size + (size == 0));
	if (data == NULL)
		abort();
	for (size_t i = 0; i < size; i++)
		data[i] = kept != NULL ? kept[i] : (uint8_t) unit_random(state);
	if (kept != NULL && size > 0)
	{
		for (int n = (int) (unit_random(state) % 8); n >= 0; n--)
			data[unit_random(state) % size] = (uint8_t) unit_random(state);
	}
	(void) LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int
main(int argc, char **argv)
{
	struct dirent **entries;
	int			n;
	int			nfailed = 0;
	uint64_t	state = 20240229;

	if (argc != 2)
	{
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	n = scandir(argv[1], &entries, is_visible, alphasort);
	if (n <= 0)
	{
		printf("1..1\nnot ok 1 - no input in %s: %s\n", argv[1], n < 0 ? strerror(errno) : "empty");
		return 1;
	}
	printf("1..%d\n", n + 1);
	for (int i = 0; i < n; i++)
	{
		char		path[4096];
		size_t		size = 0;
		uint8_t    *data;

		snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
		printf("# %s\n", entries[i]->d_name);
		fflush(stdout);
		data = read_file(path, &size);
		if (data != NULL)
		{
			(void) LLVMFuzzerTestOneInput(data, size);
			for (int k = 0; k < NRANDOM / 2 / n + 1; k++)
				run_random(&state, data, size);
		}
		else
			nfailed++;
		printf("%sok %d - %s\n", data != NULL ? "" : "not ", i + 1, entries[i]->d_name);
		free(data);
		free(entries[i]);
	}
	free(entries);
	for (int i = 0; i < NRANDOM / 2; i++)
		run_random(&state, NULL, 0);
	printf("ok %d - about %d made-up inputs\n", n + 1, NRANDOM);
	return nfailed == 0 ? 0 : 1;
}
