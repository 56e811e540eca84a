/*-------------------------------------------------------------------------
 *
 * regression_driver.c
 *	  Replay a corpus through one fuzz target, without a fuzzing engine.
 *
 * Usage: X_fuzz DIRECTORY. Every file of the directory is one test (TAP). The
 * target aborts, or a sanitizer does, if an input breaks its promise.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int
main(int argc, char **argv)
{
	struct dirent **entries;
	int			n;
	int			nfailed = 0;

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
	printf("1..%d\n", n);
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
			(void) LLVMFuzzerTestOneInput(data, size);
		else
			nfailed++;
		printf("%sok %d - %s\n", data != NULL ? "" : "not ", i + 1, entries[i]->d_name);
		free(data);
		free(entries[i]);
	}
	free(entries);
	return nfailed == 0 ? 0 : 1;
}
