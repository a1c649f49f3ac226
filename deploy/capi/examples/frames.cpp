// Frames with a stride, as cameras have them: reads PPM files, puts their pixels into padded rows of BGRA, and
// classifies all of them in one call. Prints a line for each: path, class, probability of every class.
//
//     frames MODEL IMAGE.ppm...
#include <classifold.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void check(ClassifoldStatus status) {
    if (status != CLASSIFOLD_STATUS_OK) {
        throw std::runtime_error(classifold_error_message());
    }
}

using Classifier = std::unique_ptr<ClassifoldClassifier, decltype(&classifold_close)>;
using Options = std::unique_ptr<ClassifoldOptions, decltype(&classifold_options_free)>;

Classifier open(const char *model) {
    Options options(classifold_options_new(), classifold_options_free);
    check(classifold_options_set_threads(options.get(), 2));
    ClassifoldClassifier *classifier = nullptr;
    check(classifold_open(model, options.get(), &classifier));
    return {classifier, classifold_close};
}

struct Frame {
    std::vector<std::uint8_t> bytes;
    ClassifoldPixels pixels;
};

Frame read_ppm(const char *path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    std::uint32_t width = 0, height = 0, most = 0;
    file >> magic >> width >> height >> most;
    file.get();
    if (!file || magic != "P6" || most != 255) {
        throw std::runtime_error(std::string(path) + " is not a PPM file of 8 bits");
    }
    // Cameras align rows.
    const std::size_t stride = (std::size_t{4} * width + 63) / 64 * 64;
    Frame frame{std::vector<std::uint8_t>(stride * height), {}};
    for (std::uint32_t y = 0; y < height; y++) {
        for (std::uint32_t x = 0; x < width; x++) {
            std::uint8_t *pixel = &frame.bytes[y * stride + 4 * x];
            pixel[2] = static_cast<std::uint8_t>(file.get());
            pixel[1] = static_cast<std::uint8_t>(file.get());
            pixel[0] = static_cast<std::uint8_t>(file.get());
            pixel[3] = 255;
        }
    }
    if (!file) {
        throw std::runtime_error(std::string(path) + " ends too early");
    }
    frame.pixels = {frame.bytes.data(), frame.bytes.size(), stride, width, height, CLASSIFOLD_PIXEL_FORMAT_BGRA8};
    return frame;
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s MODEL IMAGE.ppm...\n", argv[0]);
        return 2;
    }
    const Classifier classifier = open(argv[1]);
    std::vector<Frame> frames;
    std::vector<ClassifoldPixels> images;
    for (int i = 2; i < argc; i++) {
        frames.push_back(read_ppm(argv[i]));
        images.push_back(frames.back().pixels);
    }
    const std::size_t classes = classifold_num_classes(classifier.get());
    std::vector<ClassifoldPrediction> predictions(images.size());
    std::vector<float> probabilities(images.size() * classes);
    check(classifold_classify_many(classifier.get(), images.data(), images.size(), predictions.data(),
                                   probabilities.data(), nullptr));
    for (std::size_t i = 0; i < images.size(); i++) {
        std::printf("%s\t%s", argv[i + 2], classifold_class_name(classifier.get(), predictions[i].index));
        for (std::size_t k = 0; k < classes; k++) {
            std::printf("\t%.9g", probabilities[i * classes + k]);
        }
        std::printf("\n");
    }
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
}
