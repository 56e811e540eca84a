/*-------------------------------------------------------------------------
 *
 * bench_memory.cpp
 *	  How much of a graph library's speed is left behind SQL: hnswlib in this
 *	  program's memory, and the same queries through libpq, in turns.
 *
 * Both answer every query vector with the ids of the k nearest rows, one
 * query at a time: the library in one thread, the server in one session, with
 * a prepared statement, binary parameters and results, and a unix socket in
 * between. Each measurement is one line of JSON.
 *
 * The files are those of dataset.py, in single precision. A library would not
 * normalise queries in a loop either, so cosine sets are normalised before;
 * the server gets them as they are.
 *
 *	  g++ -O3 -march=native bench_memory.cpp -lpq		(needs libhnswlib-dev)
 *
 *-------------------------------------------------------------------------
 */
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <endian.h>
#include <unistd.h>
#include <hnswlib/hnswlib.h>
#include <libpq-fe.h>

namespace
{

constexpr size_t K = 10;

struct Options
{
	std::string folder;
	size_t		n, dim, nq, truth_k;
	std::string metric;
	size_t		m, ef_construction;
	std::vector<int> efs;
	double		seconds;
	int			rounds;
	std::string operator_name;
	std::vector<std::string> databases;
};

[[noreturn]] void
fail(const std::string &what)
{
	fprintf(stderr, "bench_memory: %s\n", what.c_str());
	exit(1);
}

template <class T> std::vector<T>
read_file(const std::string &path, size_t count)
{
	std::vector<T> values(count);
	FILE	   *file = fopen(path.c_str(), "rb");

	if (file == nullptr || fread(values.data(), sizeof(T), count, file) != count)
		fail("cannot read " + path);
	fclose(file);
	return values;
}

double
now()
{
	return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void
normalise(std::vector<float> &x, size_t dim)
{
	for (size_t i = 0; i < x.size(); i += dim)
	{
		double		sum = 0;

		for (size_t j = 0; j < dim; j++)
			sum += double(x[i + j]) * x[i + j];
		for (size_t j = 0; j < dim; j++)
			x[i + j] = float(x[i + j] / std::sqrt(sum));
	}
}

/* Nanoseconds that a process has spent on a CPU; 0 where Linux does not tell. */
uint64_t
cpu_time(int pid)
{
	uint64_t	ns = 0;
	FILE	   *file = fopen(("/proc/" + std::to_string(pid) + "/schedstat").c_str(), "r");

	if (file != nullptr)
	{
		if (fscanf(file, "%" SCNu64, &ns) != 1)
			ns = 0;
		fclose(file);
	}
	return ns;
}

/* One that can be asked: search(number of a query) leaves ids in 'found'. */
struct Searcher
{
	std::string name;
	std::vector<int> found;

	virtual		~Searcher() = default;
	virtual void set_ef(int ef) = 0;
	virtual void search(size_t query) = 0;
	virtual int process() const = 0;
};

struct Library : Searcher
{
	const Options &options;
	std::vector<float> queries;
	hnswlib::SpaceInterface<float> *space;
	hnswlib::HierarchicalNSW<float> *index;

	explicit Library(const Options &o) : options(o)
	{
		std::vector<float> base = read_file<float>(o.folder + "/base.f32", o.n * o.dim);
		double		begin;

		name = "hnswlib";
		queries = read_file<float>(o.folder + "/queries.f32", o.nq * o.dim);
		if (o.metric == "l2")
			space = new hnswlib::L2Space(o.dim);
		else
			space = new hnswlib::InnerProductSpace(o.dim);
		if (o.metric == "cosine")
		{
			normalise(base, o.dim);
			normalise(queries, o.dim);
		}
		begin = now();
		index = new hnswlib::HierarchicalNSW<float>(space, o.n, o.m, o.ef_construction);
		for (size_t i = 0; i < o.n; i++)
			index->addPoint(&base[i * o.dim], i);
		printf("{\"who\": \"hnswlib\", \"what\": \"build\", \"seconds\": %.2f}\n", now() - begin);
		fflush(stdout);
	}

	~Library() override
	{
		delete index;
		delete space;
	}

	void set_ef(int ef) override
	{
		index->setEf(ef);
	}

	void search(size_t query) override
	{
		auto		result = index->searchKnn(&queries[query * options.dim], K);

		found.clear();
		for (; !result.empty(); result.pop())
			found.push_back(int(result.top().second));
	}

	int process() const override
	{
		return int(getpid());
	}
};

struct Server : Searcher
{
	const Options &options;
	std::vector<std::string> messages;	/* binary values of type vector */
	PGconn	   *connection;

	Server(const Options &o, const std::string &database) : options(o)
	{
		std::vector<float> queries = read_file<float>(o.folder + "/queries.f32", o.nq * o.dim);
		PGresult   *result;
		std::string text = "SELECT id FROM items ORDER BY v " + o.operator_name + " $1::vector LIMIT " + std::to_string(K);

		name = database;
		for (size_t i = 0; i < o.nq; i++)
		{
			std::string message(4 + 4 * o.dim, '\0');
			uint16_t	dim = htobe16(uint16_t(o.dim));

			memcpy(&message[0], &dim, sizeof(dim));
			for (size_t j = 0; j < o.dim; j++)
			{
				uint32_t	bits;

				memcpy(&bits, &queries[i * o.dim + j], sizeof(bits));
				bits = htobe32(bits);
				memcpy(&message[4 + 4 * j], &bits, sizeof(bits));
			}
			messages.push_back(message);
		}
		connection = PQconnectdb(("dbname=" + database).c_str());
		if (PQstatus(connection) != CONNECTION_OK)
			fail(PQerrorMessage(connection));
		command("SET enable_seqscan = off");
		result = PQprepare(connection, "q", text.c_str(), 1, nullptr);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(PQerrorMessage(connection));
		PQclear(result);
	}

	~Server() override
	{
		PQfinish(connection);
	}

	void command(const std::string &text)
	{
		PGresult   *result = PQexec(connection, text.c_str());

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(PQerrorMessage(connection));
		PQclear(result);
	}

	void set_ef(int ef) override
	{
		command("SET hnsw.ef_search = " + std::to_string(ef));
	}

	void search(size_t query) override
	{
		const char *value = messages[query].data();
		int			length = int(messages[query].size());
		int			format = 1;
		PGresult   *result = PQexecPrepared(connection, "q", 1, &value, &length, &format, 1);

		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail(PQerrorMessage(connection));
		found.clear();
		for (int i = 0; i < PQntuples(result); i++)
		{
			uint32_t	id;

			memcpy(&id, PQgetvalue(result, i, 0), sizeof(id));
			found.push_back(int(be32toh(id)));
		}
		PQclear(result);
	}

	int process() const override
	{
		return PQbackendPID(connection);
	}
};

double
recall(Searcher &searcher, const Options &options, const std::vector<int> &truth)
{
	size_t		hits = 0;

	for (size_t i = 0; i < options.nq; i++)
	{
		const int  *right = &truth[i * options.truth_k];

		searcher.search(i);
		for (int id : searcher.found)
			hits += size_t(std::count(right, right + K, id));
	}
	return double(hits) / double(options.nq * K);
}

void
measure(Searcher &searcher, const Options &options, int ef, double recalled)
{
	std::vector<double> times;
	double		begin = now();
	double		last = begin;
	uint64_t	cpu = cpu_time(searcher.process());

	while (last - begin < options.seconds)
	{
		double		before = last;

		searcher.search(times.size() % options.nq);
		last = now();
		times.push_back(last - before);
	}
	cpu = cpu_time(searcher.process()) - cpu;
	std::sort(times.begin(), times.end());
	printf("{\"who\": \"%s\", \"what\": \"query\", \"ef\": %d, \"recall\": %.4f, \"qps\": %.1f, \"median_us\": %.1f, "
		   "\"p99_us\": %.1f, \"cpu_us\": %.1f}\n",
		   searcher.name.c_str(), ef, recalled, double(times.size()) / (last - begin), 1e6 * times[times.size() / 2],
		   1e6 * times[times.size() * 99 / 100], double(cpu) / 1e3 / double(times.size()));
	fflush(stdout);
}

}

int
main(int argc, char **argv)
{
	Options		options;
	std::vector<Searcher *> searchers;
	std::vector<int> truth;

	if (argc < 13)
	{
		fprintf(stderr, "usage: bench_memory FOLDER N DIM NQ TRUTH_K cosine|l2|ip M EF_CONSTRUCTION EF,... SECONDS ROUNDS "
				"OPERATOR [DATABASE...]\n"
				"where each DATABASE has a table items (id int, v vector) with the rows of FOLDER and an index\n");
		return 2;
	}
	options.folder = argv[1];
	options.n = strtoul(argv[2], nullptr, 10);
	options.dim = strtoul(argv[3], nullptr, 10);
	options.nq = strtoul(argv[4], nullptr, 10);
	options.truth_k = strtoul(argv[5], nullptr, 10);
	options.metric = argv[6];
	options.m = strtoul(argv[7], nullptr, 10);
	options.ef_construction = strtoul(argv[8], nullptr, 10);
	std::stringstream efs(argv[9]);
	for (std::string ef; std::getline(efs, ef, ',');)
		options.efs.push_back(atoi(ef.c_str()));
	options.seconds = atof(argv[10]);
	options.rounds = atoi(argv[11]);
	options.operator_name = argv[12];
	truth = read_file<int>(options.folder + "/gt.i32", options.nq * options.truth_k);

	if (options.m > 0)
		searchers.push_back(new Library(options));
	for (int i = 13; i < argc; i++)
		searchers.push_back(new Server(options, argv[i]));

	std::vector<double> recalls;
	for (int ef : options.efs)
	{
		for (Searcher *searcher : searchers)
		{
			searcher->set_ef(ef);
			recalls.push_back(recall(*searcher, options, truth));
		}
	}
	for (int round = 0; round < options.rounds; round++)
	{
		size_t		point = 0;

		for (int ef : options.efs)
		{
			for (Searcher *searcher : searchers)
			{
				searcher->set_ef(ef);
				measure(*searcher, options, ef, recalls[point++]);
			}
		}
	}
	for (Searcher *searcher : searchers)
		delete searcher;
	return 0;
}
