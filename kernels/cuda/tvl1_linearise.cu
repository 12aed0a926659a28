// The data term of TV-L1, linearised around the flow so far: bicubic warping of the second image and its gradient. The
// arithmetic is that of kernels/cpu/tvl1_warp.py, to the bit.
#include "common.cuh"
#include "tvl1.cuh"

constexpr int WIDTH = 32, HEIGHT = 8;  // pixels of a block
constexpr float NO_GRADIENT = 1e-6f;   // squared; below this a pixel says nothing about motion

// Weights of four taps at the fraction t behind the second one, and their derivatives (Keys 1981, a = -1/2).
__device__ __forceinline__ void cubic(Exact t, Exact (&weights)[4], Exact (&slopes)[4]) {
    const Exact squared = t * t;
    weights[0] = times_plus(times_plus(t, -0.5f, 1.0f), t, -0.5f) * t;
    weights[1] = times_plus(times_plus(t, 1.5f, -2.5f), squared, 1.0f);
    weights[2] = times_plus(times_plus(t, -1.5f, 2.0f), t, 0.5f) * t;
    weights[3] = times_plus(t, 0.5f, -0.5f) * squared;
    slopes[0] = times_plus(times_plus(t, -1.5f, 2.0f), t, -0.5f);
    slopes[1] = times_plus(t, 4.5f, -5.0f) * t;
    slopes[2] = times_plus(times_plus(t, -4.5f, 4.0f), t, 0.5f);
    slopes[3] = times_plus(t, 1.5f, -1.0f) * t;
}

// Grid: columns of blocks, rows of blocks, pairs. images: a level of all frames; pair i is of the frames `first` + i
// and `first` + i + `lag`. Pairs that rested since `first_round` take part again from here: what they left in other
// buffers than those that `place` names is copied to these.
extern "C" __global__ void __launch_bounds__(WIDTH * HEIGHT)
linearise(const float* __restrict__ images, int first, int lag, float2* __restrict__ flow_0,
          float2* __restrict__ flow_1, float4* __restrict__ dual_0, float4* __restrict__ dual_1,
          float4* __restrict__ data, int height, int width, float threshold, int first_round, int place,
          const int* __restrict__ status) {
    const int x = blockIdx.x * WIDTH + threadIdx.x % WIDTH, y = blockIdx.y * HEIGHT + threadIdx.x / WIDTH;
    if (x >= width || y >= height) return;
    const int pair = blockIdx.z;
    const int64 pixels = int64(height) * width;
    const int64 at = pair * pixels + y * int64(width) + x;

    const int left_at = place_of(status[pair], first_round, place);
    const float2 u = (flow_place(left_at) ? flow_1 : flow_0)[at];
    if (flow_place(left_at) != flow_place(place)) (flow_place(place) ? flow_1 : flow_0)[at] = u;
    if (dual_place(left_at) != dual_place(place))
        (dual_place(place) ? dual_1 : dual_0)[at] = (dual_place(left_at) ? dual_1 : dual_0)[at];

    const float* image0 = images + (first + pair) * pixels;
    const float* image1 = image0 + lag * pixels;
    const Exact u1 = u.x, u2 = u.y;
    const Exact to_x = Exact(x) + u1, to_y = Exact(y) + u2;
    const Exact inside_x = clamp(to_x, 0.0f, width - 1), inside_y = clamp(to_y, 0.0f, height - 1);
    const float left = floorf(inside_x.value), top = floorf(inside_y.value);
    const int column = left, row = top;
    Exact across[4], across_slope[4], down[4], down_slope[4];
    cubic(inside_x - left, across, across_slope);
    cubic(inside_y - top, down, down_slope);

    Exact value, dx, dy;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const float* line = image1 + min(max(row + j - 1, 0), height - 1) * int64(width);
        Exact sum, slope;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const Exact tap = __ldg(line + min(max(column + i - 1, 0), width - 1));
            sum = i ? times_plus(tap, across[i], sum) : tap * across[i];
            slope = i ? times_plus(tap, across_slope[i], slope) : tap * across_slope[i];
        }
        value = times_plus(sum, down[j], value);
        dx = times_plus(slope, down[j], dx);
        dy = times_plus(sum, down_slope[j], dy);
    }

    // The mean of both images' gradients, as both are estimates of the same (Wedel et al. 2009).
    const auto sample = [&](int sx, int sy) -> Exact {
        return __ldg(image0 + min(max(sy, 0), height - 1) * int64(width) + min(max(sx, 0), width - 1));
    };
    dx = times_plus(sample(x + 1, y) - sample(x - 1, y), 0.5f, dx) * 0.5f;
    dy = times_plus(sample(x, y + 1) - sample(x, y - 1), 0.5f, dy) * 0.5f;
    const Exact squared = times_plus(dx, dx, dy * dy);
    const bool leads_out = inside_x.value != to_x.value || inside_y.value != to_y.value;
    float4 term = make_float4(0, 0, 0, 0);
    if (!leads_out && squared.value >= NO_GRADIENT) {
        const Exact inverse = inverse_of(root_of(squared));
        const Exact n1 = dx * inverse, n2 = dy * inverse;
        const Exact rho = (value - sample(x, y)) * inverse - times_plus(n1, u1, n2 * u2);
        term = make_float4(n1.value, n2.value, rho.value, (squared * inverse * threshold).value);
    }
    data[at] = term;
}
