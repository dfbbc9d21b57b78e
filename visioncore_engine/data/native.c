/* What Python is too slow for. Every function gives the bits that its NumPy or torch counterpart gives: no fused
   multiply-add (-ffp-contract=off), no reordering. Compiled at first use by `native.py`. */

#include <stdint.h>
#include <string.h>

static int64_t clipped(int64_t frame, int64_t num_frames) {
    return frame < 0 ? 0 : frame < num_frames ? frame : num_frames - 1;
}

/* Windows of `length` frames in a row: frames (num_frames, channels, size bytes) to out (windows, channels, length,
   size bytes). Frames past the end are the last one. */
void copy_windows(const char *restrict frames, int64_t num_frames, int64_t channels, int64_t size,
                  const int64_t *restrict first, int64_t windows, int64_t length, char *restrict out) {
    for (int64_t window = 0; window < windows; window++) {
        int64_t start = first[window];
        if (channels == 1 && start >= 0 && start + length <= num_frames) {
            memcpy(out, frames + start * size, (size_t)(length * size));
            out += length * size;
            continue;
        }
        for (int64_t channel = 0; channel < channels; channel++)
            for (int64_t step = 0; step < length; step++, out += size)
                memcpy(out, frames + (clipped(start + step, num_frames) * channels + channel) * size, (size_t)size);
    }
}

/* The same, cast to float, scaled and shifted per channel; zero where `blank` (windows, length) says so, and what lies
   there is not read. */
#define VALUES(NAME, TYPE)                                                                                             \
    static void run_##NAME(const TYPE *restrict in, float *restrict out, int64_t num, float scale, float offset) {     \
        for (int64_t i = 0; i < num; i++) {                                                                            \
            float product = (float)in[i] * scale;                                                                      \
            out[i] = product + offset;                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    void values_##NAME(const TYPE *restrict frames, int64_t num_frames, int64_t channels, int64_t size,                \
                       const int64_t *restrict first, int64_t windows, int64_t length, const uint8_t *restrict blank,  \
                       const float *restrict scale, const float *restrict offset, float *restrict out) {               \
        for (int64_t window = 0; window < windows; window++) {                                                         \
            int64_t start = first[window];                                                                             \
            if (channels == 1 && !blank && start >= 0 && start + length <= num_frames) {                               \
                run_##NAME(frames + start * size, out, length * size, scale[0], offset[0]);                            \
                out += length * size;                                                                                  \
                continue;                                                                                              \
            }                                                                                                          \
            for (int64_t channel = 0; channel < channels; channel++)                                                   \
                for (int64_t step = 0; step < length; step++, out += size) {                                           \
                    int64_t frame = clipped(start + step, num_frames) * channels + channel;                            \
                    if (blank && blank[window * length + step])                                                        \
                        memset(out, 0, (size_t)size * sizeof(float));                                                  \
                    else                                                                                               \
                        run_##NAME(frames + frame * size, out, size, scale[channel], offset[channel]);                 \
                }                                                                                                      \
        }                                                                                                              \
    }

VALUES(uint8, uint8_t)
VALUES(int8, int8_t)
VALUES(int16, int16_t)
VALUES(uint16, uint16_t)
VALUES(int32, int32_t)
VALUES(float32, float)

/* First position in `ends` (not falling) that is greater than `target`. */
static int64_t position(const double *restrict ends, int64_t num, double target) {
    int64_t low = 0, high = num;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (ends[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Draw a group by its mass, then the last place i in its begin ... end - 1 with own * sums[i][0] + other * sums[i][1]
   <= a share of that mass. `ends` are the running sums of `mass`, `last` the last group that has any. `uniform` holds
   draws of groups, then of places, which become targets; `found` becomes groups, places, and ends of the search. All
   searches go forward together, so that their cache misses overlap. */
void draw_blend(double *restrict uniform, int64_t num, const double *restrict mass, const double *restrict ends,
                int64_t groups, int64_t last, const double *restrict sums, double own, double other, const int64_t *restrict bounds, int64_t *restrict found) {
    double *restrict target = uniform + num;
    int64_t *restrict group = found, *restrict low = found + num, *restrict high = found + 2 * num;
    for (int64_t i = 0; i < num; i++) {
        int64_t at = position(ends, groups, uniform[i] * ends[groups - 1]);
        group[i] = at < last ? at : last;
        target[i] *= mass[group[i]];
        low[i] = bounds[group[i]];
        high[i] = bounds[groups + group[i]];
    }
    for (int more = 1; more;) {
        more = 0;
        for (int64_t i = 0; i < num; i++) {
            int64_t middle = (low[i] + high[i]) / 2;
            double left = own * sums[2 * middle], right = other * sums[2 * middle + 1];
            int below = left + right <= target[i], open = high[i] - low[i] > 1;
            low[i] = open && below ? middle : low[i];
            high[i] = open && !below ? middle : high[i];
            more |= high[i] - low[i] > 1;
        }
    }
}

/* The finaliser of SplitMix64, as in `draws.mix`. */
static uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static uint64_t added(uint64_t half, uint64_t other, uint64_t key, uint64_t side) {
    uint64_t total = half + (((mixed(other + key) >> 32) * side) >> 32);
    return total >= side ? total - side : total;
}

/* Walk each value through the rounds of a Feistel network over pairs below a and b until it is below `size`. */
void permute(uint64_t *restrict values, int64_t num, int64_t size, int64_t a, int64_t b, const uint64_t *restrict keys,
             int64_t rounds) {
    for (int64_t i = 0; i < num; i++) {
        uint64_t value = values[i];
        do {
            uint64_t left = value / (uint64_t)b, right = value % (uint64_t)b;
            for (int64_t round = 0; round < rounds; round += 2) {
                left = added(left, right, keys[round], (uint64_t)a);
                right = added(right, left, keys[round + 1], (uint64_t)b);
            }
            value = left * (uint64_t)b + right;
        } while (value >= (uint64_t)size);
        values[i] = value;
    }
}
